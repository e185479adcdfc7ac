"""A stage ends early: at its next checkpoint when it is asked to stop, or with its workflow.

Clusters ask a job to stop before its time limit and before they give its place to another: by
SIGTERM, or by the signal that `sbatch --signal` names. A stage then goes on to its next checkpoint,
says so and ends. A stage that keeps no checkpoint ends at once, as any program does.

Snakemake runs `bash -c "adagen ... | tee log"`, and neither bash nor its children notice that
Snakemake was killed: a stage would go on for hours, beside the one that a repeated command starts.
So the workflow names its process in the environment, and the stage watches that and its own parent.
When the stage ends, tee reads the end of its input, and the shell has nothing left to wait for. A
stage that is started by hand finds no such name in its environment, and lives on under nohup.
"""

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

REQUESTS = (signal.SIGTERM, signal.SIGUSR1)
"""Signals that ask for a stop."""

STATUS = 75
"""Exit status of a stage that stopped because it was asked to: EX_TEMPFAIL, "try again"."""

WORKFLOW = "ADAGEN_WORKFLOW"
"""Environment variable that names the workflow's process and the machine that it runs on."""

INIT = 1
"""The process that adopts orphans."""


class Stopped(Exception):
    """The stage wrote a checkpoint and ended, as it was asked to; the same command goes on."""


class Request:
    """A signal handler that remembers the signal.

    Attributes:
        name: name of the signal that came; empty before one did.
    """

    name = ""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal. Python calls this between two of its instructions."""
        self.name = signal.Signals(number).name


@contextmanager
def stoppable(checkpoint: Path | None) -> Iterator[None]:
    """Let requests to stop wait for `stop_if_asked`; without a checkpoint they end the process."""
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


def stop_is_asked() -> bool:
    """True if a stop was asked for since the `stoppable` block began."""
    request = signal.getsignal(signal.SIGTERM)
    return isinstance(request, Request) and bool(request.name)


def stop_if_asked(name: str) -> None:
    """Stop here if a stop was asked for. To be called where a run can be resumed from.

    Args:
        name: name of the run, for the message.

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
    """Listen to requests to stop again where a shell ignored them: its commands inherit that."""
    for number in REQUESTS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def end_stages_with_this_process() -> None:
    """Let all stages that are started from this process end with it."""
    os.environ[WORKFLOW] = f"{os.getpid()}@{socket.gethostname()}"


def exit_when_workflow_exits() -> None:
    """End from now on with the workflow, and with the shell that it started; by hand, do nothing.

    On another machine than the workflow's, as in a launch over several, the parent alone is
    watched.
    """
    if not (named := os.environ.get(WORKFLOW)):
        return
    process, _, machine = named.partition("@")
    workflow, parent = int(process), os.getppid()
    if machine != socket.gethostname():
        workflow = parent
    if parent == INIT != workflow:  # the shell was killed before this line
        _exit(workflow)
    for watched in {workflow, parent}:
        threading.Thread(target=_exit_with, args=(watched,), daemon=True).start()


def _exit_with(process: int) -> None:
    """Wait for the end of a process, and end as well."""
    _wait_for_end(process)
    _exit(process)


def _exit(process: int) -> None:
    """Leave as if killed: what was being written is incomplete, and has no name yet."""
    os.write(2, f"adagen: process {process}, which started this stage, is gone.\n".encode())
    os._exit(1)


def _wait_for_end(process: int) -> None:
    """Return when a process has ended, though its parent may not have noticed yet."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # only Linux has it, and some containers forbid it
        while _exists(process):
            time.sleep(1)
    else:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll()


def _exists(process: int) -> bool:
    """True if there is a process with this number, of any user."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
