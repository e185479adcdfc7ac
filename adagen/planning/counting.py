"""Counting what a computation takes without doing it: operations, and bytes that live at once.

On torch's `meta` device tensors have a shape and nothing else, so that a network of billions of
weights costs no memory and its passes no time.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adagen.evaluation.cost import gflops_per_image

META = torch.device("meta")


@dataclass(frozen=True)
class Cost:
    """What a computation takes for one image.

    Attributes:
        flops: floating-point operations: matrix products and convolutions.
        weights: bytes of the parameters and buffers of its networks, however many images.
        activations: bytes of all other tensors that live at once at most.
    """

    flops: float = 0.0
    weights: float = 0.0
    activations: float = 0.0

    def memory(self, images: int) -> float:
        """Bytes at so many images at once."""
        return self.weights + images * self.activations


def cost(compute: Callable[[], object], images: int, *networks: nn.Module) -> Cost:
    """Count a computation while it runs, on any device.

    Args:
        compute: makes, measures or learns from a batch of images.
        images: in the batch.
        networks: what it is done with.
    """
    with _Footprint(networks) as footprint:
        gflops = gflops_per_image(compute, images)
    return Cost(gflops * 1e9, footprint.weights, (footprint.peak - footprint.weights) / images)


def weight_bytes(*networks: nn.Module) -> int:
    """Bytes of all parameters and buffers, which is what a file of them takes."""
    return sum(tensor.nbytes for network in networks for tensor in network.state_dict().values())


class _Footprint(TorchDispatchMode):
    """Follows how many bytes of tensors live at once.

    A `meta` tensor has no value that a check could look at: there every check passes.
    """

    def __init__(self, networks: tuple[nn.Module, ...]) -> None:
        super().__init__()
        self._known: set[int] = set()
        self._live = self.peak = 0
        for network in networks:
            for tensor in (*network.parameters(), *network.buffers()):
                self._see(tensor)
        self.weights = self.peak

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return True
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self._see(value)
        return result

    def _see(self, tensor: torch.Tensor) -> None:
        """Count a storage once, from now on until nothing holds it any more."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self._live += size
            self.peak = max(self.peak, self._live)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._live -= size
