"""Several processes that make one result: each does a part of the work, and all get all of it.

Every process runs the same stage with the same inputs. Work is cut into the same parts whatever the
number of processes, each part is done by one of them, and results are exchanged in the order of
the parts: the result is that of one process, to the bit. Only sums of gradients are rounded in
another order. The first process alone writes files.

`processes: 4` in the configuration is enough to start them: the command that was typed becomes
`accelerate launch`, which starts it again four times, stops all when one dies, and prints whose
fault it was. A stage that is started under `accelerate launch` (or `torchrun`) by hand, as on
several machines, goes on as one of the processes that there are.

A single process never touches `torch.distributed`.
"""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar, cast

import torch
from torch import distributed
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from adagen.runtime.errors import AdagenError
from adagen.runtime.launch import ADDRESS, NUMBERS, START, Launch

T = TypeVar("T")
Tensors = tuple[torch.Tensor, ...]
M = TypeVar("M", bound=Tensors)

PATIENCE = timedelta(hours=12)
"""Time that a process waits for the others, which may be a shard of samples behind. The launcher
notices at once when one dies."""

ARRIVAL = timedelta(minutes=10)
"""Time that a process waits for the others to start."""

SILENCE = 15.0
"""Seconds of that after which it says so."""


@dataclass(frozen=True)
class Processes:
    """One of the processes that share a stage, and the ways to exchange tensors with the others.

    Attributes:
        rank: number of this process, from 0.
        count: number of all processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """True if this is the process that writes files."""
        return self.rank == 0

    def own_range(self, n: int, name: str) -> range:
        """The consecutive part of 0 .. n-1 that is this process's; sizes differ by one at most.

        Args:
            n: number of things to share.
            name: what they are, for the message.

        Raises:
            AdagenError: there are fewer than one for each process.
        """
        if n < self.count:
            raise AdagenError(
                f"{name}: {n}, but there are {self.count} processes, and each takes one at least: "
                "start fewer."
            )
        return range(self.rank * n // self.count, (self.rank + 1) * n // self.count)

    def map_in_order(self, parts: Iterable[T], make: Callable[[T], M]) -> Iterator[M]:
        """The results of `make` for all parts, in their order; processes compute them in turn.

        Args:
            parts: inputs, the same in every process.
            make: computes the tensors of one part, each on one device.
        """
        if self.count == 1:
            yield from map(make, parts)
            return
        left = iter(parts)
        while turn := list(islice(left, self.count)):
            result = make(turn[self.rank]) if self.rank < len(turn) else ()
            yield from cast(list[M], self._exchange(result)[: len(turn)])

    def all_gather(self, tensor: torch.Tensor, dim: int = 0) -> torch.Tensor:
        """The tensors of all processes, joined along an axis in the order of the processes."""
        if self.count == 1:
            return tensor
        return torch.cat([tensors[0] for tensors in self._exchange((tensor,))], dim)

    def all_reduce(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.count > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def broadcast_state(self, state: Any) -> None:
        """Replace the tensors in nested dictionaries by those of the first process."""
        if self.count > 1:
            for tensor in _tensors(state):
                distributed.broadcast(tensor, 0)

    def broadcast(self, value: T) -> T:
        """The first process's value: a number, a path, or anything else that can be pickled."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, 0)
        return values[0]

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self._exchange(())

    def _exchange(self, tensors: Tensors) -> list[Tensors]:
        """The tensors of every process, in the order of the processes."""
        if self.count == 1:
            return [tensors]
        tensors = tuple(tensor.contiguous() for tensor in tensors)
        forms: list[list[tuple[Any, ...]]] = [[]] * self.count
        distributed.all_gather_object(forms, [(t.shape, t.dtype, t.device.type) for t in tensors])
        exchanged = []
        for rank, received in enumerate(forms):
            part = tensors if rank == self.rank else tuple(_empty(*form) for form in received)
            for tensor in part:
                distributed.broadcast(tensor, rank)
            exchanged.append(part)
        return exchanged


SINGLE_PROCESS = Processes()
"""The process of a stage that shares its work with no other."""


@contextmanager
def start_processes(count: int, device: str) -> Iterator[Processes]:
    """The processes of a stage, of which this is one; all end together.

    Args:
        count: number of processes to start, unless a launcher has started this one.
        device: `device` of the configuration; on GPUs each process takes one.

    Raises:
        AdagenError: there are fewer GPUs than processes on this machine, or the launcher's
            variables are incomplete, or the other processes don't come.
    """
    launch = Launch.of_environment()
    if launch:
        threading.Thread(target=_exit_with_launcher, args=(os.getppid(),), daemon=True).start()
    elif count > 1:
        _become_launcher(count)
    processes = _join(launch, device) if launch and launch.count > 1 else SINGLE_PROCESS
    yield processes
    # Not after an error: others may wait for what this process will never send, until they are
    # stopped.
    if processes.count > 1:
        processes.wait()
        distributed.destroy_process_group()


def _become_launcher(count: int) -> None:
    """Replace this process by a launcher that repeats its command in `count` processes."""
    # Threads that were given to one process are shared by all.
    given = re.match(r"\d+", os.environ.get("OMP_NUM_THREADS", ""))  # "4,2" is for nested ones
    threads = int(given.group()) if given else os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads // count))
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    # `--multi_gpu` is what makes it start several processes, on GPUs or without; port 0 is any
    # free one. All options are given, so that nobody's own accelerate settings play a part.
    options = ["--multi_gpu", "--num_processes", str(count), "--num_machines", "1"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    # Nor do a job system's: torchrun takes those of PET_ for options that were not given.
    for name in [*NUMBERS, *ADDRESS, *(name for name in os.environ if name.startswith("PET_"))]:
        os.environ.pop(name, None)
    # The launcher would die of a signal that asks its processes to stop. It has nothing to stop
    # itself, and ends when they have.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.execv(sys.executable, [*launch, *options, "--module", "adagen.cli", *sys.argv[1:]])


def _exit_with_launcher(launcher: int) -> None:
    """Leave as if killed when the launcher, which would stop this process, is gone."""
    while os.getppid() == launcher:
        time.sleep(1)
    os._exit(1)


def _join(launch: Launch, device: str) -> Processes:
    """The processes that a launcher started this one among, ready to exchange tensors."""
    if device != "cpu" and torch.cuda.is_available():
        gpus = torch.cuda.device_count()
        if launch.local_rank >= gpus:
            raise AdagenError(
                f"key 'processes': this machine has {gpus} GPUs that torch sees, but more "
                "processes are started on it, and each takes one: start fewer, or say "
                "`device: cpu`."
            )
        torch.cuda.set_device(launch.local_rank)
    store = _meet(launch)
    # Without a backend's name: gloo for tensors in main memory, NCCL for those on a GPU.
    distributed.init_process_group(
        store=store, rank=launch.rank, world_size=launch.count, timeout=PATIENCE
    )
    return Processes(launch.rank, launch.count)


def _meet(launch: Launch) -> Store:
    """Wait until all processes of a launch have started; the store that they agree through.

    Raises:
        AdagenError: they don't come in time, or their address can't be reached.
    """
    address = ":".join(os.environ[name] for name in ADDRESS)
    waiting = f"the {launch.count} processes that WORLD_SIZE says at {address}"
    said = threading.Timer(
        SILENCE,
        lambda: print(f"adagen: process {launch.rank} waits for {waiting}.", file=sys.stderr),
    )
    said.daemon = True
    said.start()
    try:
        store: Store
        store, _, _ = next(rendezvous("env://", timeout=ARRIVAL))
    except (RuntimeError, ValueError) as error:  # torch's errors of stores are RuntimeErrors
        reason = " ".join(str(error).split())[:200]
        raise AdagenError(
            f"process {launch.rank} did not meet {waiting} ({reason}). {START}"
        ) from None
    finally:
        said.cancel()
    store.set_timeout(PATIENCE)
    return store


def _empty(shape: torch.Size, dtype: torch.dtype, device: str) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device=device)


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested dictionaries, in order."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, Mapping):
        for part in state.values():
            yield from _tensors(part)
