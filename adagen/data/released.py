"""Released files: which there are, where they are kept, who needs them, and fetching them."""

import difflib
import functools
import importlib.resources
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock
import yaml

from adagen.config import (
    LEARNED,
    Asset,
    Assets,
    ClassifierSettings,
    ClipPreference,
    Config,
    DinoFeatures,
)
from adagen.data import downloads, pins
from adagen.data.downloads import Cancelled, DownloadBar, Failure, beside
from adagen.runtime.errors import AdagenError

CATALOGUE = "adagen/data/assets.yaml"
MIRROR = "ADAGEN_MIRROR"
"""Environment variable: a folder or base URL to take every file from, and nowhere else."""
JOBS = 3
"""Files fetched at once, unless told otherwise."""


# What there is


def catalogue(assets: Assets) -> dict[str, Asset]:
    """Every known file by name: those of the package, and the config's beside or instead of them.

    Raises:
        AdagenError: two names stand for the same file.
    """
    known = {**_published(), **assets.catalogue}
    file, count = Counter(asset.file for asset in known.values()).most_common(1)[0]
    if count > 1:
        names = [name for name, asset in known.items() if asset.file == file]
        raise AdagenError(
            f"assets.catalogue: {' and '.join(names)} are both kept as {file}. Give one of them "
            "another `file`, or refer to one name only."
        )
    return known


@functools.cache
def _published() -> dict[str, Asset]:
    text = importlib.resources.files("adagen.data").joinpath("assets.yaml").read_text()
    return {name: Asset.model_validate(entry) for name, entry in yaml.safe_load(text).items()}


def find(assets: Assets, name: str) -> Asset:
    """What is known of an asset.

    Raises:
        AdagenError: there is no asset of that name.
    """
    known = catalogue(assets)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        advice = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
        raise AdagenError(
            f"there is no asset {name!r} in {CATALOGUE} or assets.catalogue. {advice}"
        )
    return known[name]


def asset_path(assets: Assets, name: str) -> Path:
    """Where an asset is kept, whether it is there or not.

    Raises:
        AdagenError: there is no asset of that name.
    """
    return Path(assets.folder) / find(assets, name).file


def needed(config: Config) -> dict[str, list[str]]:
    """Assets that the experiments of a config use, each with the names of these experiments."""
    shared = []
    if config.evaluation.protocol != "embedded":
        shared += [config.evaluation.inception.weights, config.evaluation.reference]
    if isinstance(config.reward_features, DinoFeatures) and set(LEARNED) & set(config.methods):
        shared.append(config.reward_features.weights)
    rewards = [experiment.training.reward for experiment in config.experiments.values()]
    asked = config.dial or any(isinstance(reward, ClassifierSettings) for reward in rewards)
    if isinstance(config.preference, ClipPreference) and asked:
        shared.append(config.preference.weights)
    users: dict[str, list[str]] = {}
    for experiment, settings in config.experiments.items():
        weights = config.generators[settings.generator].weights
        own = [weights.network, weights.decoder] if weights else []
        if "released" in config.methods:
            own.append(settings.released_policy)
        for name in filter(None, dict.fromkeys([*own, *shared])):
            users.setdefault(name, []).append(experiment)
    return users


# Fetching


def sources(asset: Asset, mirror: str) -> list[str | Path]:
    """Where to take a file from, in turn: addresses, or the one place in the mirror."""
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
    meter: DownloadBar,
    say: Callable[[str], None],
) -> None:
    """Have every named asset in its place, whole and verified; what is there already stays.

    A file appears under its name only once it is verified. What is cut off stays beside it, and the
    next call goes on with it. One asset that fails doesn't stop the others.

    Args:
        assets: where they are kept, and more than the catalogue has.
        names: of the assets.
        mirror: folder or base URL to take them from, and nowhere else; empty for their addresses.
        jobs: files fetched at once.
        meter: told of every byte.
        say: told, in a sentence, what became of each file.

    Raises:
        AdagenError: a name is unknown, or assets can't be had: every reason, and what to do.
    """
    wanted = {name: find(assets, name) for name in names}
    if mirror and not re.match(r"https?://", mirror) and not Path(mirror).expanduser().is_dir():
        raise AdagenError(
            f"{MIRROR} is {mirror!r}, which is no folder and no http(s) address: correct it, or "
            "unset it to download files from where they are published."
        )
    stop = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        try:  # around the submissions, too: leaving the pool waits for every task that runs
            tasks = [
                pool.submit(_Fetch(name, asset, Path(assets.folder), mirror, meter, stop, say))
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
    """What kept assets from being had, once all tasks have ended; other errors are raised."""
    failures, running = [], set(tasks)
    while running:
        # In turns: where another thread takes the signal, Ctrl-C doesn't end an untimed wait.
        done, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for task in done:
            if isinstance(error := task.exception(), AdagenError):
                failures.append(str(error))
            else:
                task.result()
    return failures


@dataclass(frozen=True)
class _Fetch:
    """One asset on its way into the folder."""

    name: str
    asset: Asset
    folder: Path
    mirror: str
    meter: DownloadBar
    stop: threading.Event
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        return self.folder / self.asset.file

    @property
    def part(self) -> Path:
        return beside(self.path, ".part")

    def __call__(self) -> None:
        if pins.is_verified(self.path, self.asset):
            return self.say(f"{self.path}: there, unchanged since it was verified.")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if self.path.exists():
                self._check()
            else:
                self._obtain()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the file's lock: another process that fetches it is waited for."""
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
        """A file that is there, but not verified since it last changed."""
        if pins.is_verified(self.path, self.asset):  # by the process that was waited for
            return self.say(f"{self.path}: there, fetched by another process.")
        self.say(f"{self.path}: there; computing its SHA-256.")
        expected, digest = pins.expected(self.path, self.asset), pins.file_hash(self.path)
        if complaint := pins.complaint(self.path, self.path, asset=self.asset, digest=digest):
            raise AdagenError(
                f"{self.path} (asset {self.name!r}) {complaint}. Put the right file there, or "
                "delete it and run `adagen fetch` again."
            )
        pins.write(self.path, self.path, digest=digest)
        self.say(f"{self.path}: {self._verdict(expected, digest)}")

    def _obtain(self) -> None:
        """Try every source in turn."""
        reasons = []
        for source in sources(self.asset, self.mirror):
            try:
                return self._obtain_from(source)
            except Failure as failure:
                reasons.append(f"{source}: {failure}")
        raise AdagenError(" ".join([self._lament(reasons), *self._advice()]))

    def _lament(self, reasons: list[str]) -> str:
        if not reasons:
            return f"{self.path} (asset {self.name!r}) has to be fetched by hand."
        return f"{self.path} (asset {self.name!r}) could not be fetched: {'; '.join(reasons)}."

    def _advice(self) -> list[str]:
        """What the user can do."""
        if self.mirror:
            return [f"{MIRROR} is set, so nothing is taken from elsewhere: put the file there."]
        if self.asset.manual:
            return [self.asset.manual, f"Put it at {self.path}, and run `adagen fetch` again."]
        return [
            "Run `adagen fetch` again later: it goes on where it stopped. Without internet, set "
            f"{MIRROR} to a folder or server that has the file (docs/assets.md)."
        ]

    def _obtain_from(self, source: str | Path) -> None:
        """Transfer, verify, rename.

        Bytes that were put together from several replies, and turn out wrong, get a second chance
        in one piece.
        """
        expected = pins.expected(self.path, self.asset)
        pieced = self._transfer(source, expected)
        digest = pins.file_hash(self.part)
        if pieced and pins.complaint(self.part, self.path, asset=self.asset, digest=digest):
            downloads.discard(self.part)
            self._transfer(source, expected)
            digest = pins.file_hash(self.part)
        if complaint := pins.complaint(self.part, self.path, asset=self.asset, digest=digest):
            downloads.discard(self.part)
            raise Failure(f"what it sends {complaint}")
        pins.write(
            self.path, self.part, digest=digest
        )  # first, so that a file without pin is the user's
        self.part.replace(self.path)
        downloads.discard(self.part)
        self.say(f"{self.path}: fetched from {source}; {self._verdict(expected, digest)}")

    def _transfer(self, source: str | Path, expected: str) -> bool:
        """Bring the bytes into the part; whether they come from more than one reply."""
        if isinstance(source, Path):
            downloads.copy(source, self.part, meter=self.meter, stop=self.stop)
            return False
        whole = len(expected) == 64
        size = self.asset.size
        return downloads.Download(source, self.part, size, whole, self.meter, self.stop).run()

    def _verdict(self, expected: str, digest: str) -> str:
        """How far the file can be trusted."""
        if len(self.asset.sha256) == 64:
            return "its SHA-256 is as published."
        if len(expected) == 64:
            return "its SHA-256 is as pinned before."
        known = "the first digits of" if expected else "no"
        return (
            f"{known} SHA-256 of it has been published, so {digest} is pinned in "
            f"{pins.pin_path(self.path).name}; later runs verify against it."
        )
