"""A stage that is asked to stop goes on to its next checkpoint, says so and ends.

Clusters ask before a time limit and before they take a job's place away: by SIGTERM, or by the
signal that `sbatch --signal` names. What keeps no checkpoint ends at once, as any program does.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

REQUESTS = (signal.SIGTERM, signal.SIGUSR1)
"""Signals that ask for a stop."""

STATUS = 75
"""Exit status of a stage that stopped because it was asked to: EX_TEMPFAIL, "try again"."""


class Stopped(Exception):
    """The stage has a checkpoint and ended, as it was asked to; the same command goes on."""


class Request:
    """A signal handler that remembers what was asked.

    Attributes:
        name: of the signal that came; empty before one did.
    """

    name = ""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Called by Python, between two of its instructions."""
        self.name = signal.Signals(number).name


@contextmanager
def stoppable(checkpoint: Path | None) -> Iterator[None]:
    """In the block, requests to stop wait for `stop_if_asked`; without a checkpoint they end it."""
    if checkpoint is None:
        yield
        return
    request = Request()
    before = {number: signal.signal(number, request) for number in REQUESTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_if_asked(name: str) -> None:
    """To be called where a run can be resumed from.

    Args:
        name: of the run, for the message.

    Raises:
        Stopped: a stop was asked for since the `stoppable` block began.
    """
    request = signal.getsignal(signal.SIGTERM)
    if isinstance(request, Request) and request.name:
        raise Stopped(
            f"{name} was asked to stop ({request.name}) and did so after writing its checkpoint. "
            "Repeat the command to go on from there."
        )


def restore_stop_signals() -> None:
    """Undo what a shell did that ignores requests for its own sake: its commands inherit that."""
    for number in REQUESTS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
