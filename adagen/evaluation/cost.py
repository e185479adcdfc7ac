"""The cost of generating an image, in floating-point operations."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


def gflops_per_image(generate: Callable[[], object], images: int) -> float:
    """Count billions of floating-point operations per image, in matrix products and convolutions.

    A multiplication and an addition count as two. Elementwise operations are left out, as is
    usual.

    Args:
        generate: makes a batch of images, including policy and decoder.
        images: number of images that one call makes.
    """
    counted = Operations()
    with plain_attention(), counted:
        generate()
    return counted.flops / images / 1e9


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention by its plain kernel in a block: it consists of matrix products.

    Not every version and device counts the operations of fused kernels, and none those of compiled
    code: networks run as they were written.
    """
    with sdpa_kernel(SDPBackend.MATH):
        if "torch._dynamo" not in sys.modules:
            yield
            return
        with torch.compiler.set_stance("force_eager"):
            yield


class Operations(TorchDispatchMode):
    """Adds up floating-point operations in a block, by torch's formulas for its operators.

    Torch's own counter adds up the same, but takes every other operator apart first, in several
    times the time.

    Attributes:
        flops: operations so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False, or torch would import its compiler to keep it out: over a second at first use."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and count what it computes."""
        kwargs = kwargs or {}
        if _consists_of_others(func):
            with self:
                return func.decompose(*args, **kwargs)
        result = self.run(func, args, kwargs=kwargs)
        if formula := flop_registry.get(func._overloadpacket):
            self.flops += formula(*args, **kwargs, out_val=result)
        return result

    def run(self, func: Any, args: Any, *, kwargs: Any) -> Any:
        """Run an operator."""
        return func(*args, **kwargs)


@cache
def _consists_of_others(func: Any) -> bool:
    """True for operators that arrive whole in inference mode alone, such as a linear layer."""
    composite = torch._C._dispatch_has_kernel_for_dispatch_key
    return func._overloadpacket not in flop_registry and composite(
        func.name(), "CompositeImplicitAutograd"
    )
