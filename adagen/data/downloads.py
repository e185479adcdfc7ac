"""One file over HTTP: resumed after a cut, and never put together from different files."""

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
"""Attempts in a row that bring no byte, before an address is given up."""
BACKOFF = tenacity.wait_exponential_jitter(initial=1, max=30)
"""Seconds between attempts."""
PATIENCE = 120.0
"""Seconds that a server may ask to wait for (Retry-After)."""
TIMEOUT = (20, 30)
"""Seconds without a connection, and without a byte."""
CHUNK = 1 << 18
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)


class Failure(Exception):
    """A source doesn't give the file; another may."""


class Interruption(Failure):
    """The same source may still give it."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class Cancelled(Exception):
    """The user has had enough."""


class DownloadBar:
    """One bar over all files, in bytes; it grows when a size becomes known. Threads share it."""

    def __init__(self) -> None:
        self.files: dict[Path, tuple[int, int]] = {}
        self.lock = threading.Lock()
        self.bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def at(self, part: Path, done: int, *, size: int) -> None:
        """`done` of `size` bytes of a file are there (size 0: not known)."""
        with self.lock:
            self.files[part] = (done, max(done, size))
            total = sum(size for _, size in self.files.values())
            if self.bar is None:
                self.bar = progress(None, "fetching", total=total)
                self.bar.unit, self.bar.unit_scale = "B", True
            self.bar.total = total
            self.bar.update(sum(done for done, _ in self.files.values()) - self.bar.n)


def beside(path: Path, suffix: str) -> Path:
    """`<path><suffix>`."""
    return path.with_name(path.name + suffix)


def discard(part: Path) -> None:
    """Remove a part and the note of where it comes from."""
    part.unlink(missing_ok=True)
    beside(part, ".json").unlink(missing_ok=True)


def copy(source: Path, part: Path, *, meter: DownloadBar, stop: threading.Event) -> None:
    """Copy a file from a mirror folder.

    Raises:
        Failure: it isn't there.
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
            meter.at(part, out.tell(), size=size)


@dataclass(frozen=True)
class Note:
    """Where a part comes from; kept beside it, so that another process can go on."""

    url: str
    validator: str
    """Strong ETag, or time of last modification: names the very bytes. Empty: none was given."""
    size: int
    """Bytes of the whole file; 0 if the server didn't say."""


@dataclass
class Download:
    """The transfer of a file from one address into a part."""

    url: str
    part: Path
    size: int
    """Bytes expected; 0 if not known."""
    checked: bool
    """The whole SHA-256 is known: mistaken bytes will be noticed, wherever they come from."""
    meter: DownloadBar
    stop: threading.Event
    fruitless: int = 0
    pieced: bool = False

    def run(self) -> bool:
        """Transfer what is missing of the part.

        Returns:
            Whether its bytes come from more than one reply.

        Raises:
            Failure: this address doesn't give the file.
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
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, Interruption) else 0
        return max(BACKOFF(state), min(asked, PATIENCE))

    def _attempt(self) -> None:
        before = self._have()
        try:
            self._transfer()
        except Interruption:
            self.fruitless = 0 if self._have() > before else self.fruitless + 1
            raise

    def _transfer(self) -> None:
        """One request, from where the part ends."""
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
        """Append a reply to the part, or begin it anew."""
        self._judge(reply, have)
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
                self.meter.at(self.part, out.tell(), size=self.size or size)
        if (self.size or size) > self._have():
            raise Interruption("the connection was cut")

    def _judge(self, reply: requests.Response, have: int) -> None:
        """Refuse everything but the file.

        Raises:
            Interruption: it may come later.
            Failure: it won't.
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
        """Whether a reply from the middle belongs to the file that the part is of."""
        if note.url == self.url and note.validator and validator:
            return note.validator == validator
        return (self.size or note.size) in (0, size)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _note(self) -> Note:
        with contextlib.suppress(OSError, ValueError, TypeError):
            content: Any = json.loads(beside(self.part, ".json").read_text())
            return Note(**content)
        return Note("", "", 0)

    def _resumable(self, note: Note) -> int:
        """Bytes of the part that this address may go on from; others are dropped."""
        same = note.url == self.url and bool(note.validator or note.size)
        have, whole = self._have(), self.size or note.size
        if have and (not (same or self.checked) or (whole and have > whole)):
            discard(self.part)
            return 0
        return have


def _span(reply: requests.Response) -> tuple[int, int]:
    """Where a reply begins in the file, and the bytes of the whole (0: not said)."""
    if reply.status_code == 200:
        length = reply.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else 0
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", reply.headers.get("Content-Range", ""))
    if found is None:
        raise Failure("it sends a part of the file without saying which")
    return int(found[1]), int(found[2])


def _validator(reply: requests.Response) -> str:
    """What names the very bytes of a reply. A weak ETag only names their meaning."""
    etag = reply.headers.get("ETag", "")
    return etag if etag.startswith('"') else reply.headers.get("Last-Modified", "")


def _asked_to_wait(reply: requests.Response) -> float:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        return urllib3.Retry().parse_retry_after(reply.headers.get("Retry-After", "0"))
    return 0


def _reason(error: Exception) -> str:
    """An exception of the network in one line."""
    text = " ".join(str(error).split())
    return re.sub(r"<[\w.]+ object at 0x\w+>:? ?", "", text) or type(error).__name__
