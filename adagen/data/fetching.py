"""Fetching released files, from where they are published or from a mirror."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock

from adagen.config import Asset, Assets
from adagen.data import downloads, pins
from adagen.data.downloads import DownloadBar
from adagen.data.pins import beside
from adagen.data.released import find
from adagen.data.replies import Cancelled, Failure
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash

MIRROR = "ADAGEN_MIRROR"
"""Environment variable: a folder or base URL from which alone all files are taken."""


def sources(asset: Asset, mirror: str) -> list[str | Path]:
    """Where to look for a file, in turn: its addresses, or only the mirror."""
    if not mirror:
        return [address for address in (asset.url, *asset.mirrors) if address]
    if re.match(r"https?://", mirror):
        return [f"{mirror.rstrip('/')}/{asset.file}"]
    return [Path(mirror).expanduser() / asset.file]


def fetch(
    assets: Assets,
    names: Iterable[str],
    *,
    mirror: str,
    jobs: int,
    bar: DownloadBar,
    say: Callable[[str], None],
) -> None:
    """Fetch assets that are missing, and verify all of them.

    A file appears under its name only after it was verified. A partial download stays beside it,
    and the next call resumes it. An asset that fails does not stop the others.

    Args:
        assets: the folder, and entries beside the package's.
        names: names of the assets.
        mirror: folder or base URL from which alone they are taken; empty for their addresses.
        jobs: number of files that are fetched at the same time.
        bar: shows the progress.
        say: gets a sentence about the outcome of each file.

    Raises:
        AdagenError: a name is unknown, or assets could not be fetched. The message has every
            reason, and what to do.
    """
    wanted = {name: find(assets, name) for name in names}
    if mirror and not re.match(r"https?://", mirror) and not Path(mirror).expanduser().is_dir():
        raise AdagenError(
            f"{MIRROR} is {mirror!r}, which is no folder and no http(s) address: correct it, or "
            "unset it to download files from where they are published."
        )
    stop = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        try:  # also around submit, because leaving the pool waits for every running task
            tasks = [
                pool.submit(_Fetch(name, asset, Path(assets.folder), mirror, bar, stop, say))
                for name, asset in wanted.items()
            ]
            failures = _failures(tasks)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        count = f"{len(failures)} of {len(wanted)} assets are missing. "
        raise AdagenError((count if len(failures) > 1 else "") + " ".join(sorted(failures)))


def _failures(tasks: Iterable[Future[None]]) -> list[str]:
    """Wait for all tasks; return the messages of assets that failed, and raise other errors."""
    failures, running = [], set(tasks)
    while running:
        # With a timeout: Ctrl-C does not end an untimed wait if another thread gets the signal.
        done, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for task in done:
            if isinstance(error := task.exception(), AdagenError):
                failures.append(str(error))
            else:
                task.result()
    return failures


@dataclass(frozen=True)
class _Fetch:
    """The task that fetches one asset."""

    name: str
    asset: Asset
    folder: Path
    mirror: str
    bar: DownloadBar
    stop: threading.Event
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.asset.file

    @property
    def part(self) -> Path:
        """The partial file."""
        return beside(self.path, ".part")

    def __call__(self) -> None:
        """Verify the file if it exists; fetch it otherwise."""
        if pins.is_verified(self.path, self.asset):
            return self.say(f"{self.path}: there, unchanged since it was verified.")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if self.path.exists():
                self._check()
            else:
                self._fetch()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the file's lock, and wait for another process that fetches the same file."""
        lock = filelock.FileLock(beside(self.path, ".lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            self.say(f"{self.path}: another process fetches it; waiting.")
        while not lock.is_locked:
            if self.stop.is_set():
                raise Cancelled
            with suppress(filelock.Timeout):
                lock.acquire(timeout=1)
        try:
            yield
        finally:
            lock.release()

    def _check(self) -> None:
        """Verify a file that was not verified since its last change."""
        if pins.is_verified(self.path, self.asset):  # by the process that held the lock
            return self.say(f"{self.path}: there, fetched by another process.")
        self.say(f"{self.path}: there; computing its SHA-256.")
        expected, digest = pins.expected(self.path, self.asset), file_hash(self.path)
        if complaint := pins.complaint(self.path, self.path, asset=self.asset, digest=digest):
            raise AdagenError(f"{self.path} (asset {self.name!r}) {complaint}. {pins.RESTORE}")
        pins.write(self.path, self.path, digest=digest)
        self.say(f"{self.path}: {self._verdict(expected, digest)}")

    def _fetch(self) -> None:
        """Fetch the file from the first source that has it."""
        reasons = []
        for source in sources(self.asset, self.mirror):
            try:
                return self._fetch_from(source)
            except Failure as failure:
                reasons.append(f"{source}: {failure}")
        raise AdagenError(" ".join([self._explain(reasons), *self._advice()]))

    def _explain(self, reasons: list[str]) -> str:
        """Why the file could not be fetched, in a sentence."""
        if not reasons:
            return f"{self.path} (asset {self.name!r}) has to be fetched by hand."
        return f"{self.path} (asset {self.name!r}) could not be fetched: {'; '.join(reasons)}."

    def _advice(self) -> list[str]:
        """Sentences on what the user can do."""
        if self.mirror:
            return [f"{MIRROR} is set, so nothing is taken from elsewhere: put the file there."]
        if self.asset.manual:
            return [self.asset.manual, f"Put it at {self.path}, and run `adagen fetch` again."]
        return [
            "Run `adagen fetch` again later: it goes on where it stopped. Without internet, set "
            f"{MIRROR} to a folder or server that has the file (docs/assets.md)."
        ]

    def _fetch_from(self, source: str | Path) -> None:
        """Download, verify and rename.

        If a file that was put together from several replies is wrong, it is downloaded again in
        one piece.
        """
        expected = pins.expected(self.path, self.asset)
        pieced = self._transfer(source, expected)
        digest = file_hash(self.part)
        if pieced and pins.complaint(self.part, self.path, asset=self.asset, digest=digest):
            downloads.discard(self.part)
            self._transfer(source, expected)
            digest = file_hash(self.part)
        if complaint := pins.complaint(self.part, self.path, asset=self.asset, digest=digest):
            downloads.discard(self.part)
            raise Failure(f"what it sends {complaint}")
        # The pin comes first: a file without one is then a file of the user.
        pins.write(self.path, self.part, digest=digest)
        self.part.replace(self.path)
        downloads.discard(self.part)
        self.say(f"{self.path}: fetched from {source}; {self._verdict(expected, digest)}")

    def _transfer(self, source: str | Path, expected: str) -> bool:
        """Download or copy to the partial file; return whether the bytes are of several replies."""
        if isinstance(source, Path):
            downloads.copy(source, self.part, size=self.asset.size, bar=self.bar, stop=self.stop)
            return False
        return downloads.Download(
            url=source,
            part=self.part,
            size=self.asset.size,
            checked=len(expected) == 64,
            bar=self.bar,
            stop=self.stop,
        ).run()

    def _verdict(self, expected: str, digest: str) -> str:
        """A sentence on how the file was verified."""
        if len(self.asset.sha256) == 64:
            return "its SHA-256 is as published."
        if len(expected) == 64:
            return "its SHA-256 is as pinned before."
        known = "the first digits of" if expected else "no"
        return (
            f"{known} SHA-256 of it has been published, so {digest} is pinned in "
            f"{pins.pin_path(self.path).name}; later runs verify against it."
        )
