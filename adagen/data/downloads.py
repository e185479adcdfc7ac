"""Download of one file over HTTP, which resumes after a cut and never mixes two files.

huggingface_hub resumes too, but serves the Hub alone. Mirrors and other hosts need this loop
anyway, and it does the same for files on the Hub.
"""

import contextlib
import dataclasses
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests
import tenacity
import urllib3
from tqdm import tqdm

from adagen.data.pins import beside
from adagen.data.replies import (
    LEAST,
    Cancelled,
    Failure,
    Interruption,
    TooSlow,
    asked_to_wait,
    opened,
    reason,
    span,
    validator,
    watched,
)
from adagen.runtime.documents import parse_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import DOWNLOAD_BYTES, read_text, require_regular
from adagen.runtime.progress import progress

ATTEMPTS = 5
"""Number of attempts in a row without a new byte, after which an address is given up."""
BACKOFF = tenacity.wait_exponential_jitter(initial=1, max=30)
"""Seconds between attempts, by tenacity."""
PATIENCE = 120.0
"""Longest wait in seconds that a server may ask for (Retry-After)."""
CHUNK = 1 << 18
"""Most bytes that are written at a time."""
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which the same request may succeed later."""


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


def discard(part: Path) -> None:
    """Remove a partial file, and the note of its origin."""
    part.unlink(missing_ok=True)
    beside(part, ".json").unlink(missing_ok=True)


def copy(source: Path, part: Path, *, size: int, bar: DownloadBar, stop: threading.Event) -> None:
    """Copy a file from a mirror folder to a partial file.

    Args:
        source: the file.
        part: the partial file.
        size: expected bytes; 0 if not known.
        bar: shows the progress.
        stop: cancels the copy when it is set.

    Raises:
        Failure: the mirror does not have the file, or one of another size.
        Cancelled: `stop` was set.
    """
    if not source.is_file():
        raise Failure("there is no such file")
    found = source.stat().st_size
    _require_size(found, size)
    discard(part)
    with source.open("rb") as stream, part.open("wb") as out:
        while chunk := stream.read(CHUNK):
            if stop.is_set():
                raise Cancelled
            if out.tell() + len(chunk) > found:
                raise Failure("the file grows while it is copied")
            out.write(chunk)
            bar.update(part, out.tell(), size=found)


def _require_size(found: int, expected: int) -> None:
    """Refuse a file before its bytes are taken: of another size, or larger than any.

    Raises:
        Failure: the sizes differ (0: not known).
    """
    if found and expected and found != expected:
        raise Failure(f"the file has {found:,} bytes there, but {expected:,} are expected")
    if not expected and found > DOWNLOAD_BYTES:
        raise Failure(f"the file has {found:,} bytes there: give its `size` to have so many")


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
        if os.path.lexists(self.part):
            require_regular(self.part)  # a pipe would wait for a reader for ever
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
        """Make one request, and count it if it brings few bytes; one that is slow counts more."""
        before = self._have()
        try:
            self._transfer()
        except TooSlow:
            self.fruitless += (ATTEMPTS + 1) // 2
            raise
        except Interruption:
            self.fruitless = 0 if self._have() - before >= LEAST else self.fruitless + 1
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
            with opened(self.url, headers) as reply:
                self._receive(reply, note, have)
        except requests.exceptions.SSLError as error:
            raise Failure(reason(error)) from None
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
            raise Interruption(reason(error)) from None
        except requests.RequestException as error:
            raise Failure(reason(error)) from None

    def _receive(self, reply: requests.Response, note: Note, have: int) -> None:
        """Append a reply to the partial file, or write it from the start."""
        self._require_file(reply, have)
        begin, size = span(reply)
        identity = validator(reply)
        if begin and (begin != have or not self._continues(note, identity, size)):
            discard(self.part)
            raise Interruption("the file has changed since its first part was fetched")
        _require_size(size, self.size)
        if not (size or self.size or self.checked or reply.raw.chunked):
            raise Failure("the server doesn't say how long the file is, so a cut would go unseen")
        self.pieced = begin > 0
        note = Note(self.url, identity, size)
        beside(self.part, ".json").write_text(json.dumps(dataclasses.asdict(note)))
        most = self.size or size or DOWNLOAD_BYTES
        with self.part.open("ab" if begin else "wb") as out, watched(reply, out.tell):
            # read1() returns what has arrived, where read() would wait for the whole chunk.
            while chunk := reply.raw.read1(CHUNK, decode_content=False):
                if self.stop.is_set():
                    raise Cancelled
                if out.tell() + len(chunk) > most:
                    discard(self.part)
                    raise Failure(f"it sends more than the {most:,} bytes that are expected")
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
            raise Interruption(status, asked_to_wait(reply))
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
        with contextlib.suppress(OSError, ValueError, TypeError, AdagenError):
            note = Note(**parse_json(read_text(beside(self.part, ".json"))))
            if isinstance(note.size, int) and isinstance(note.validator, str):
                return note
        return Note("", "", 0)

    def _resumable(self, note: Note) -> int:
        """Bytes that this address can continue from; those of another origin are removed."""
        same = note.url == self.url and bool(note.validator or note.size)
        have, whole = self._have(), self.size or note.size
        if have and (not (same or self.checked) or (whole and have > whole)):
            discard(self.part)
            return 0
        return have
