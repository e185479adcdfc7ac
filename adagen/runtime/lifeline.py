"""A stage that a workflow started ends when the workflow does, by whatever signal that died.

Snakemake runs `bash -c "adagen ... | tee log"`, and neither bash nor its children notice that
Snakemake was killed: a stage would go on for hours, beside the one that a repeated command starts.
So the workflow names its process in the environment, and the stage watches that and its own parent.
With the stage, tee reads the end of its input, and the shell has nothing left to wait for. A stage
that is started by hand has no such name in its environment, and lives on under nohup.
"""

import os
import select
import socket
import threading
import time

WORKFLOW = "ADAGEN_WORKFLOW"
"""Environment variable: the process of the workflow, and the machine that it runs on."""

INIT = 1
"""Who takes care of orphans."""


def end_stages_with_this_process() -> None:
    """Let all stages that are started from this process end with it."""
    os.environ[WORKFLOW] = f"{os.getpid()}@{socket.gethostname()}"


def exit_when_workflow_exits() -> None:
    """From now on end with the workflow, and with the shell that it started; by hand, do nothing.

    On a machine other than the workflow's, as that of a launch over several, the parent alone
    is watched.
    """
    if not (named := os.environ.get(WORKFLOW)):
        return
    process, _, machine = named.partition("@")
    workflow, parent = int(process), os.getppid()
    if machine != socket.gethostname():
        workflow = parent
    if parent == INIT != workflow:  # the shell was killed before this line
        _end(workflow)
    for watched in {workflow, parent}:
        threading.Thread(target=_follow, args=(watched,), daemon=True).start()


def _follow(process: int) -> None:
    _wait_for_end(process)
    _end(process)


def _end(process: int) -> None:
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
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
