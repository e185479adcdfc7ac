"""The memory that a computation takes, counted while it runs, on any device."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adagen.runtime.shapes import shaped


class Footprint(TorchDispatchMode):
    """Adds up the bytes of the tensors that a block makes, without networks' weights.

    A `meta` tensor has no value, so every check of values passes there.

    Attributes:
        live: bytes of the tensors that live now.
        peak: bytes of the tensors that lived at the same time, at most.
        made: bytes of all tensors that were made.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = self.made = 0
        self._known = {
            tensor.untyped_storage()._cdata
            for network in networks
            for tensor in (*network.parameters(), *network.buffers())
        }

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False, or torch would import its compiler to keep it out: over a second at first use."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs=kwargs)

    def run(self, func: Any, args: Any, *, kwargs: Any) -> Any:
        """Run an operator, and count the tensors that it makes."""
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return True
        if func is torch.ops.aten.upsample_bicubic2d.default and args[0].is_meta:
            # On `meta` torch would compute the indices of all neighbours, for a second a call.
            result = args[0].new_empty(*args[0].shape[:2], *args[1])
        elif (result := shaped(func, args, kwargs=kwargs)) is None:
            result = func(*args, **(kwargs or {}))
        for value in (result,) if isinstance(result, torch.Tensor) else tree_leaves(result):
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
