"""Starting a stage as several processes: `processes: 4` in the config, and nothing else to say.

The command that was typed becomes `accelerate launch`, which starts it again as often as asked for,
stops all when one dies, and prints whose fault it was. Started under `accelerate launch` (or
`torchrun`) by hand, as on several machines, a stage goes on as one of the processes there are.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adagen.config import Config

if TYPE_CHECKING:
    from adagen.runtime.processes import Processes

LAUNCHED = "LOCAL_RANK"
"""Set in every process that a launcher has started."""


@contextmanager
def processes_of(config: Config) -> Iterator["Processes"]:
    """The processes of a stage, this one among them; all end together.

    Raises:
        AdagenError: there are fewer GPUs than processes on this machine.
    """
    if LAUNCHED in os.environ:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    elif config.processes > 1:
        _start_over(config.processes)
    from adagen.runtime.processes import joined, leave

    processes = joined(config.device)
    yield processes
    # Not after an error: others may wait for what this process will never send, until they are
    # stopped.
    leave(processes)


def _start_over(count: int) -> None:
    """Become the launcher of this command; threads that were given to one are shared by all."""
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads // count))
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    # `--multi_gpu` is what makes it start several processes, on GPUs or without; port 0 is any
    # free one. Everything is said, so that nobody's own accelerate settings play a part.
    how = ["--multi_gpu", "--num_processes", str(count), "--num_machines", "1"]
    how += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    # The launcher would die of a signal that asks its processes to stop: it has nothing to stop
    # itself, and ends when they have.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.execv(sys.executable, [*launch, *how, "--module", "adagen.cli", *sys.argv[1:]])


def _end_with(launcher: int) -> None:
    """Leave as if killed when the launcher is gone, and with it whoever would stop this process."""
    while os.getppid() == launcher:
        time.sleep(1)
    os._exit(1)
