"""Counting the FLOPs and the memory of a computation without doing it.

On torch's `meta` device tensors have a shape and nothing else: a network of billions of weights
takes no memory there, and next to no time.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adagen.evaluation.cost import gflops_per_image
from adagen.generators.reloading import NothingDrawn

META = torch.device("meta")


@contextmanager
def on_meta() -> Iterator[None]:
    """Build networks without values in the block."""
    with META, NothingDrawn():
        yield


@dataclass(frozen=True)
class Count:
    """The cost of a computation for one image.

    Attributes:
        flops: floating-point operations of matrix products and convolutions.
        peak: bytes of the tensors that live at the same time, at most; weights are not counted.
        held: bytes of the tensors that are left when it ends.
        made: bytes of all tensors that it makes.
    """

    flops: float = 0.0
    peak: float = 0.0
    held: float = 0.0
    made: float = 0.0


def count(compute: Callable[[], object], images: int, *networks: nn.Module) -> Count:
    """Count a computation while it runs, on any device.

    Args:
        compute: generates, measures or learns from a batch of images; its result is held.
        images: number of images in the batch.
        networks: the networks that it uses, whose weights are not counted.
    """
    kept: list[object] = []
    with _Footprint(networks) as footprint:
        gflops = gflops_per_image(lambda: kept.append(compute()), images)
        sizes = footprint.peak, footprint.live, footprint.made
        return Count(gflops * 1e9, *(size / images for size in sizes))


def weight_bytes(*networks: nn.Module) -> int:
    """Bytes of all parameters and buffers that a file of these networks holds."""
    return sum(tensor.nbytes for network in networks for tensor in network.state_dict().values())


class _Footprint(TorchDispatchMode):
    """Adds up the bytes of the tensors that live at the same time, without networks' weights.

    A `meta` tensor has no value, so every check of values passes there.
    """

    def __init__(self, networks: tuple[nn.Module, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = self.made = 0
        self._known = {
            tensor.untyped_storage()._cdata
            for network in networks
            for tensor in (*network.parameters(), *network.buffers())
        }

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return True
        if func is torch.ops.aten.upsample_bicubic2d.default and args[0].is_meta:
            # On `meta` torch would compute the indices of all neighbours, for a second a call.
            result = args[0].new_empty(*args[0].shape[:2], *args[1])
        else:
            result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self._see(value.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        """Count a storage once, from now on until nothing holds it any more."""
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.made += size
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size
