"""Replies of servers: requested in limited time, and ended when they bring too few bytes."""

import contextlib
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping

import requests
import urllib3

TIMEOUT = (20, 30)
"""Seconds to wait for a connection, and for the next byte."""
OPENING = 45.0
"""Seconds until a server must have begun to answer, redirections included."""
WINDOW, LEAST = 20.0, 20_000
"""A reply that brings fewer than so many bytes in so many seconds is ended."""


class Failure(Exception):
    """A source does not have the file; another one may."""


class Interruption(Failure):
    """A source does not have the file now, but may have it later.

    Args:
        reason: what happened.
        wait: seconds that the server asked to wait for.
    """

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class TooSlow(Interruption):
    """A source sends bytes, but too few to wait for."""


class Cancelled(Exception):
    """The download was interrupted by the user."""


def opened(url: str, headers: Mapping[str, str]) -> requests.Response:
    """Make a request, and read the headers of its reply.

    A thread does it: no timeout of `requests` ends a server that sends a byte now and then.

    Raises:
        Interruption: the server takes too long.
        RequestException: it does not answer, or the address is none.
    """
    answers: queue.Queue[requests.Response | Exception] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(requests.get(url, headers=headers, stream=True, timeout=TIMEOUT))
        except Exception as error:  # raised below, in the thread that waits
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=OPENING)
    except queue.Empty:
        raise TooSlow(f"no answer in {OPENING:g} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


@contextlib.contextmanager
def watched(reply: requests.Response, received: Callable[[], int]) -> Iterator[None]:
    """End a reply that brings too few bytes for the time it takes.

    Args:
        reply: is read within the block.
        received: says how many bytes there are by now.

    Raises:
        TooSlow: it was ended.
    """
    done, slow = threading.Event(), threading.Event()

    def watch() -> None:
        before = received()
        while not done.wait(WINDOW):
            if received() - before < LEAST:
                slow.set()
                with contextlib.suppress(OSError, ValueError, RuntimeError):  # it ended by itself
                    reply.raw.shutdown()
                return
            before = received()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    words = f"fewer than {LEAST:,} bytes arrived in {WINDOW:g} seconds"
    try:
        yield
    except (Cancelled, Failure):
        raise
    except Exception:
        if slow.is_set():
            raise TooSlow(words) from None
        raise
    finally:
        done.set()
        watcher.join()  # before the file is closed, whose end it asks for
    if slow.is_set():
        raise TooSlow(words)


def span(reply: requests.Response) -> tuple[int, int]:
    """The offset of a reply in the file, and the bytes of the whole file (0: not said).

    Raises:
        Failure: it is a part, and does not say which.
    """
    if reply.status_code == 200:
        length = reply.headers.get("Content-Length", "")
        return 0, int(length) if re.fullmatch(r"[0-9]{1,18}", length) else 0
    text = reply.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})", text)
    if found is None:
        raise Failure("it sends a part of the file without saying which")
    return int(found[1]), int(found[2])


def validator(reply: requests.Response) -> str:
    """The identity of a reply's bytes: its strong ETag, or its time of last modification."""
    etag = reply.headers.get("ETag", "")
    return etag if etag.startswith('"') else reply.headers.get("Last-Modified", "")


def asked_to_wait(reply: requests.Response) -> float:
    """Seconds of the header Retry-After; 0 without one."""
    with contextlib.suppress(urllib3.exceptions.HTTPError, ValueError, OverflowError):
        return urllib3.Retry().parse_retry_after(reply.headers.get("Retry-After", "0"))
    return 0


def reason(error: Exception) -> str:
    """The message of a network exception in one line."""
    text = " ".join(str(error).split())
    return re.sub(r"<[\w.]+ object at 0x\w+>:? ?", "", text) or type(error).__name__
