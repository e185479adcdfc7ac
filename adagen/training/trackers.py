"""Live curves of a training, in TensorBoard or Weights & Biases, through accelerate's trackers."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adagen.runtime.atomic import atomic_path
from adagen.runtime.errors import AdagenError
from adagen.training.log import Record

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

OnRecord = Callable[[Record], None]
"""Called with each record of a training log when it is complete."""
Track = Callable[[int], AbstractContextManager[OnRecord]]
"""Starts trackers, given the number of updates already done; the context ends them."""

INSTALL = {"tensorboard": "pip install -e '.[tracking]'", "wandb": "pip install wandb"}
"""The command that installs each tracker, in a clone of the repository."""


def require_installed(trackers: Sequence[str]) -> None:
    """Refuse trackers that are not installed.

    Raises:
        AdagenError: one is not installed.
    """
    if not trackers:
        return
    from accelerate.utils import is_tensorboard_available, is_wandb_available

    installed = {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available}
    for name in trackers:
        if not installed[name]():
            raise AdagenError(
                f"training.trackers names {name!r}, which is not installed: "
                f"`{INSTALL[name]}`, or leave it out."
            )


@dataclass(frozen=True, kw_only=True)
class Trackers:
    """The trackers of one run.

    Attributes:
        names: of the trackers; without any, nothing is written.
        log: the training log; each tracker has a folder beside it, `<log>.<tracker>`.
        run: name of the run.
        group: name of the group of runs that it belongs to.
        settings: shown beside the curves, if the tracker can.
    """

    names: Sequence[str]
    log: Path
    run: str
    group: str
    settings: Mapping[str, Any]

    @contextmanager
    def follow(self, done: int) -> Iterator[OnRecord]:
        """Show a training while the context lasts; a step is the number of an update.

        Curves of updates after `done`, from a process that was killed before it saved them, are
        replaced.

        Args:
            done: updates of this run that an earlier process finished.

        Raises:
            AdagenError: a tracker could not be started.
        """
        with ExitStack() as stack:
            started = []
            for name in self.names:
                started.append(self._start(name, done))
                stack.callback(started[-1].finish)

            def on_record(record: Record) -> None:
                for tracker in started:
                    tracker.log(flat(record), step=record["update"])

            yield on_record

    def _start(self, name: str, done: int) -> "GeneralTracker":
        """Start one tracker; errors are those of `follow`."""
        from accelerate import PartialState
        from accelerate.tracking import TensorBoardTracker, WandBTracker

        # Trackers write a log of their own, which asks for the state of the processes.
        PartialState()
        folder = self.log.with_suffix(f".{name}")
        folder.mkdir(parents=True, exist_ok=True)
        tracker: GeneralTracker
        if name == "tensorboard":
            tracker = TensorBoardTracker("", folder, purge_step=done + 1)
        else:
            tracker = WandBTracker(
                "adagen",
                group=self.group,
                name=self.run,
                id=_run_id(folder / "run_id", done),
                resume="allow",
                dir=folder,
                config=dict(self.settings),
            )
        try:
            tracker.start()
        except Exception as error:  # no account, no network, no disk: each raises its own kind
            raise AdagenError(
                f"the tracker {name!r} could not be started ({type(error).__name__}: {error}). Put "
                "that right, or leave it out of training.trackers."
            ) from None
        return tracker


@contextmanager
def untracked(done: int) -> Iterator[OnRecord]:
    """Track nothing."""
    yield lambda record: None


def flat(record: Record) -> dict[str, Any]:
    """The values of a record by `field` or `field/name`, without those that are None."""
    values: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            values |= {f"{key}/{name}": inner for name, inner in value.items()}
        elif value is not None:
            values[key] = value
    return values


def _run_id(path: Path, done: int) -> str:
    """The id of this run at Weights & Biases: a new one when the run begins."""
    if not done or not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(uuid.uuid4().hex)
    return path.read_text()
