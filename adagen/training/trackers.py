"""Live curves of a training, in TensorBoard or Weights & Biases, through accelerate's trackers."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adagen.runtime.errors import AdagenError
from adagen.runtime.files import atomic_path
from adagen.training.log import Record

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

Tell = Callable[[Record], None]
"""Takes each record of a training log when it is written."""
Track = Callable[[int], AbstractContextManager[Tell]]
"""Given the number of updates already done, follows those that come."""

PACKAGES = {"tensorboard": "adagen[tracking]", "wandb": "wandb"}
"""What has to be installed for a tracker."""


def require_installed(trackers: Sequence[str]) -> None:
    """Refuse trackers that are not there.

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
                f"`pip install '{PACKAGES[name]}'`, or leave it out."
            )


@contextmanager
def tracked(
    trackers: Sequence[str], log: Path, run: str, group: str, settings: Mapping[str, Any], done: int
) -> Iterator[Tell]:
    """Follow a training while the context lasts; a step is the number of an update.

    What an earlier process showed of updates after `done`, which it didn't live to keep, is
    replaced.

    Args:
        trackers: names of trackers; without any, nothing is written.
        log: the training log; each tracker has a folder beside it, `<log>.<tracker>`.
        run: name of the run.
        group: what it belongs to.
        settings: shown beside the curves, where the tracker has a place for them.
        done: updates of this run that are already followed.

    Raises:
        AdagenError: a tracker could not be started.
    """
    with ExitStack() as stack:
        started = []
        for name in trackers:
            started.append(_start(name, log, run=run, group=group, settings=settings, done=done))
            stack.callback(started[-1].finish)

        def tell(record: Record) -> None:
            for tracker in started:
                tracker.log(flat(record), step=record["update"])

        yield tell


@contextmanager
def untracked(done: int) -> Iterator[Tell]:
    """Follow nothing."""
    yield lambda record: None


def flat(record: Record) -> dict[str, Any]:
    """Numbers and sentences of a record by `field` or `field/name`; fields without a value drop."""
    values: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            values |= {f"{key}/{name}": inner for name, inner in value.items()}
        elif value is not None:
            values[key] = value
    return values


def _start(
    name: str, log: Path, *, run: str, group: str, settings: Mapping[str, Any], done: int
) -> "GeneralTracker":
    from accelerate import PartialState
    from accelerate.tracking import TensorBoardTracker, WandBTracker

    # Trackers keep a log of their own, which wants to know what process this is.
    PartialState()
    folder = log.with_suffix(f".{name}")
    folder.mkdir(parents=True, exist_ok=True)
    tracker: GeneralTracker
    if name == "tensorboard":
        tracker = TensorBoardTracker("", folder, purge_step=done + 1)
    else:
        tracker = WandBTracker(
            "adagen",
            group=group,
            name=run,
            id=_run_id(folder / "run_id", done),
            resume="allow",
            dir=folder,
            config=dict(settings),
        )
    try:
        tracker.start()
    except Exception as error:  # no account, no network, no disk: each has its own kind
        raise AdagenError(
            f"the tracker {name!r} could not be started ({type(error).__name__}: {error}). Put "
            "that right, or leave it out of training.trackers."
        ) from None
    return tracker


def _run_id(path: Path, done: int) -> str:
    """The id that Weights & Biases knows this run by: a new one where it begins."""
    if not done or not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(uuid.uuid4().hex)
    return path.read_text()
