"""Several processes that make one result: each does a part of the work, and all know all of it.

Every process runs the same stage with the same inputs. Work is cut into the same parts whatever the
number of processes, each part is done by one of them, and results are exchanged in the order of
the parts: what one process would have made is made, to the bit. Only sums of gradients are rounded
in another order. The first process alone writes files.

One process alone never touches `torch.distributed`.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar, cast

import torch
from torch import distributed

from adagen.runtime.errors import AdagenError

T = TypeVar("T")
Tensors = tuple[torch.Tensor, ...]
M = TypeVar("M", bound=Tensors)

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: they may be a shard of samples behind. One that dies is
noticed at once, by whoever started them."""


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is.

    Attributes:
        rank: 0 for the first.
        count: all of them.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def own_range(self, n: int, what: str) -> range:
        """Which of 0 .. n-1 are this process's: consecutive ones, as many as anybody's or one off.

        Raises:
            AdagenError: some process would have none; `what` says of what.
        """
        if n < self.count:
            raise AdagenError(
                f"{what}: {n}, but there are {self.count} processes, and each takes one at least: "
                "start fewer."
            )
        return range(self.rank * n // self.count, (self.rank + 1) * n // self.count)

    def map_in_order(self, parts: Iterable[T], make: Callable[[T], M]) -> Iterator[M]:
        """What is made of each part, in the order of the parts, which each make in turn.

        Args:
            parts: the same in every process.
            make: makes tensors of one part, on one device each.
        """
        if self.count == 1:
            yield from map(make, parts)
            return
        left = iter(parts)
        while turn := list(islice(left, self.count)):
            mine = make(turn[self.rank]) if self.rank < len(turn) else ()
            yield from cast(list[M], self._exchange(mine)[: len(turn)])

    def all_gather(self, mine: torch.Tensor, dim: int = 0) -> torch.Tensor:
        """The tensors of all processes, one after the other along an axis."""
        if self.count == 1:
            return mine
        return torch.cat([theirs[0] for theirs in self._exchange((mine,))], dim)

    def all_reduce(self, tensors: Iterable[torch.Tensor]) -> None:
        """Put the sum over all processes in the place of each tensor."""
        if self.count > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def broadcast_state(self, state: Any) -> None:
        """Put the first process's tensors in the place of those in nested dictionaries."""
        if self.count > 1:
            for tensor in _tensors(state):
                distributed.broadcast(tensor, 0)

    def broadcast(self, value: T) -> T:
        """What the first process says; a number, a path, or the like."""
        if self.count == 1:
            return value
        said = [value]
        distributed.broadcast_object_list(said, 0)
        return said[0]

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self._exchange(())

    def _exchange(self, mine: Tensors) -> list[Tensors]:
        """The tensors of every process, in the order of the processes."""
        if self.count == 1:
            return [mine]
        mine = tuple(tensor.contiguous() for tensor in mine)
        kinds: list[list[tuple[Any, ...]]] = [[]] * self.count
        distributed.all_gather_object(kinds, [(t.shape, t.dtype, t.device.type) for t in mine])
        found = []
        for rank, kind in enumerate(kinds):
            theirs = mine if rank == self.rank else tuple(_empty(*one) for one in kind)
            for tensor in theirs:
                distributed.broadcast(tensor, rank)
            found.append(theirs)
        return found


SINGLE_PROCESS = Processes()


def joined(device: str) -> Processes:
    """The processes that the launcher started this one among, ready to exchange tensors.

    Args:
        device: of the configuration; on GPUs each process takes one.

    Raises:
        AdagenError: there are fewer GPUs than processes on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return SINGLE_PROCESS
    if device != "cpu" and torch.cuda.is_available():
        place, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= gpus:
            raise AdagenError(
                f"key 'processes': more are started here than the {gpus} GPUs that torch sees, and "
                "each takes one: start fewer, or say `device: cpu`."
            )
        torch.cuda.set_device(place)
    # Without a backend's name: gloo for tensors in main memory, NCCL for those on a GPU.
    distributed.init_process_group(timeout=PATIENCE)
    return Processes(distributed.get_rank(), distributed.get_world_size())


def leave(processes: Processes) -> None:
    """Part from the others, who have all come to the end."""
    if processes.count > 1:
        processes.wait()
        distributed.destroy_process_group()


def _empty(shape: torch.Size, dtype: torch.dtype, device: str) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device=device)


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested dictionaries, in order."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, Mapping):
        for part in state.values():
            yield from _tensors(part)
