"""Download of one file over HTTP, which resumes after a cut and never mixes two files.

huggingface_hub resumes too, but serves the Hub alone. Mirrors and other hosts need this loop
anyway, and it does the same for files on the Hub.
"""

import contextlib
import dataclasses
import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests
import tenacity
import urllib3
from tqdm import tqdm

from adagen.runtime.progress import progress

ATTEMPTS = 5
"""Number of attempts in a row without a new byte, after which an address is given up."""
BACKOFF = tenacity.wait_exponential_jitter(initial=1, max=30)
"""Seconds between attempts, by tenacity."""
PATIENCE = 120.0
"""Longest wait in seconds that a server may ask for (Retry-After)."""
TIMEOUT = (20, 30)
"""Seconds to wait for a connection, and for the next byte."""
CHUNK = 1 << 18
"""Bytes that are written at a time."""
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which the same request may succeed later."""


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


class Cancelled(Exception):
    """The download was interrupted by the user."""


class DownloadBar:
    """A progress bar over the bytes of all files, shared by threads.

    Its total grows when the size of a file becomes known.
    """

    def __init__(self) -> None:
        self.files: dict[Path, tuple[int, int]] = {}
        self.lock = threading.Lock()
        self.bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self, part: Path, done: int, *, size: int) -> None:
        """Show that `done` of `size` bytes of a file have arrived (size 0: not known)."""
        with self.lock:
            self.files[part] = (done, max(done, size))
            total = sum(size for _, size in self.files.values())
            if self.bar is None:
                self.bar = progress(None, "fetching", total=total)
                self.bar.unit, self.bar.unit_scale = "B", True
            self.bar.total = total
            self.bar.update(sum(done for done, _ in self.files.values()) - self.bar.n)


def beside(path: Path, suffix: str) -> Path:
    """The path with a suffix appended: `<path><suffix>`."""
    return path.with_name(path.name + suffix)


def discard(part: Path) -> None:
    """Remove a partial file, and the note of its origin."""
    part.unlink(missing_ok=True)
    beside(part, ".json").unlink(missing_ok=True)


def copy(source: Path, part: Path, *, bar: DownloadBar, stop: threading.Event) -> None:
    """Copy a file from a mirror folder to a partial file.

    Raises:
        Failure: the mirror does not have the file.
        Cancelled: `stop` was set.
    """
    if not source.is_file():
        raise Failure("there is no such file")
    discard(part)
    size = source.stat().st_size
    with source.open("rb") as stream, part.open("wb") as out:
        while chunk := stream.read(CHUNK):
            if stop.is_set():
                raise Cancelled
            out.write(chunk)
            bar.update(part, out.tell(), size=size)


@dataclass(frozen=True)
class Note:
    """The origin of a partial file, kept beside it so that a later process can resume.

    Attributes:
        url: where it was downloaded from.
        validator: strong ETag, or time of last modification, which identifies the bytes; empty if
            the server gave none.
        size: bytes of the whole file; 0 if the server did not say.
    """

    url: str
    validator: str
    size: int


@dataclass
class Download:
    """The download of a file from one address into a partial file.

    Attributes:
        url: the address.
        part: the partial file; bytes that it has are not requested again.
        size: expected bytes; 0 if not known.
        checked: whether the full SHA-256 is known, so that wrong bytes will be noticed later.
        bar: shows the progress.
        stop: cancels the download when it is set.
        fruitless: number of attempts since the last new byte.
        pieced: whether the bytes come from more than one reply.
    """

    url: str
    part: Path
    size: int
    checked: bool
    bar: DownloadBar
    stop: threading.Event
    fruitless: int = 0
    pieced: bool = False

    def run(self) -> bool:
        """Download the missing bytes, with several attempts.

        Returns:
            Whether the bytes come from more than one reply.

        Raises:
            Failure: this address does not have the file.
            Cancelled: `stop` was set.
        """
        tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Interruption),
            stop=lambda _: self.fruitless >= ATTEMPTS,
            wait=self._wait,
            sleep=tenacity.sleep_using_event(self.stop),
            reraise=True,
        )(self._attempt)
        return self.pieced

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds to wait after an attempt."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, Interruption) else 0
        return max(BACKOFF(state), min(asked, PATIENCE))

    def _attempt(self) -> None:
        """Make one request, and count it if it brings no byte."""
        before = self._have()
        try:
            self._transfer()
        except Interruption:
            self.fruitless = 0 if self._have() > before else self.fruitless + 1
            raise

    def _transfer(self) -> None:
        """Make one request for the bytes after the end of the partial file."""
        if self.stop.is_set():
            raise Cancelled
        note = self._note()
        have = self._resumable(note)
        if have and have == (self.size or note.size):
            self.pieced = True
            return
        headers = {"User-Agent": "adagen", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        if have and note.url == self.url and note.validator:
            headers["If-Range"] = note.validator
        try:
            with requests.get(self.url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
                self._receive(reply, note, have)
        except requests.exceptions.SSLError as error:
            raise Failure(_reason(error)) from None
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
            raise Interruption(_reason(error)) from None
        except requests.RequestException as error:
            raise Failure(_reason(error)) from None

    def _receive(self, reply: requests.Response, note: Note, have: int) -> None:
        """Append a reply to the partial file, or write it from the start."""
        self._require_file(reply, have)
        begin, size = _span(reply)
        validator = _validator(reply)
        if begin and (begin != have or not self._continues(note, validator, size)):
            discard(self.part)
            raise Interruption("the file has changed since its first part was fetched")
        if self.size and size and size != self.size:
            raise Failure(f"the file has {size:,} bytes there, but {self.size:,} are expected")
        if not (size or self.size or self.checked or reply.raw.chunked):
            raise Failure("the server doesn't say how long the file is, so a cut would go unseen")
        self.pieced = begin > 0
        note = Note(self.url, validator, size)
        beside(self.part, ".json").write_text(json.dumps(dataclasses.asdict(note)))
        with self.part.open("ab" if begin else "wb") as out:
            for chunk in reply.raw.stream(CHUNK, decode_content=False):
                if self.stop.is_set():
                    raise Cancelled
                out.write(chunk)
                out.flush()
                self.bar.update(self.part, out.tell(), size=self.size or size)
        if (self.size or size) > self._have():
            raise Interruption("the connection was cut")

    def _require_file(self, reply: requests.Response, have: int) -> None:
        """Refuse a reply that is not the file.

        Raises:
            Interruption: a later request may succeed.
            Failure: no request will.
        """
        status = f"{reply.status_code} {reply.reason}"
        if reply.status_code == 416 and have:
            discard(self.part)
            raise Interruption(status)
        if reply.status_code in TEMPORARY:
            raise Interruption(status, _asked_to_wait(reply))
        if reply.status_code not in (200, 206):
            raise Failure(status)
        if reply.headers.get("Content-Type", "").startswith("text/html"):
            raise Failure("it sends a web page instead of the file")
        if reply.headers.get("Content-Encoding", "identity") != "identity":
            raise Failure("it sends the file compressed, though asked not to")

    def _continues(self, note: Note, validator: str, size: int) -> bool:
        """True if a partial reply belongs to the same file as the bytes on the disk."""
        if note.url == self.url and note.validator and validator:
            return note.validator == validator
        return (self.size or note.size) in (0, size)

    def _have(self) -> int:
        """Bytes of the partial file."""
        return self.part.stat().st_size if self.part.exists() else 0

    def _note(self) -> Note:
        """The origin of the partial file; empty where it is unknown."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            content: Any = json.loads(beside(self.part, ".json").read_text())
            return Note(**content)
        return Note("", "", 0)

    def _resumable(self, note: Note) -> int:
        """Bytes that this address can continue from; those of another origin are removed."""
        same = note.url == self.url and bool(note.validator or note.size)
        have, whole = self._have(), self.size or note.size
        if have and (not (same or self.checked) or (whole and have > whole)):
            discard(self.part)
            return 0
        return have


def _span(reply: requests.Response) -> tuple[int, int]:
    """The offset of a reply in the file, and the bytes of the whole file (0: not said)."""
    if reply.status_code == 200:
        length = reply.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else 0
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", reply.headers.get("Content-Range", ""))
    if found is None:
        raise Failure("it sends a part of the file without saying which")
    return int(found[1]), int(found[2])


def _validator(reply: requests.Response) -> str:
    """The identity of a reply's bytes: its strong ETag, or its time of last modification."""
    etag = reply.headers.get("ETag", "")
    return etag if etag.startswith('"') else reply.headers.get("Last-Modified", "")


def _asked_to_wait(reply: requests.Response) -> float:
    """Seconds of the header Retry-After; 0 without one."""
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        return urllib3.Retry().parse_retry_after(reply.headers.get("Retry-After", "0"))
    return 0


def _reason(error: Exception) -> str:
    """The message of a network exception in one line."""
    text = " ".join(str(error).split())
    return re.sub(r"<[\w.]+ object at 0x\w+>:? ?", "", text) or type(error).__name__
