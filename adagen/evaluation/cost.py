"""The cost of generating an image, in floating-point operations."""

from collections.abc import Callable
from typing import Any

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import flop_counter


def gflops_per_image(generate: Callable[[], object], images: int) -> float:
    """Count billions of floating-point operations per image, in matrix products and convolutions.

    A multiplication and an addition count as two. Elementwise operations are left out, as is
    usual.

    Args:
        generate: makes a batch of images, including policy and decoder.
        images: number of images that one call makes.
    """
    # Not every version and device counts fused attention kernels. The plain kernel consists of
    # matrix products, which are always counted.
    _count_without_compiler()
    with (
        sdpa_kernel(SDPBackend.MATH),
        flop_counter.FlopCounterMode(display=False) as counter,
    ):
        generate()
    return float(counter.get_total_flops()) / images / 1e9


def _count_without_compiler() -> None:
    """Keep torch from importing its compiler to count operations, which takes over a second.

    It would do so to mark the counter as not to be compiled; here the counter is marked already.
    Where a version of torch marks it in another way, this has no effect.
    """
    mode: Any = getattr(flop_counter, "_FlopCounterMode", flop_counter.FlopCounterMode)
    if (dispatch := getattr(mode.__torch_dispatch__, "__wrapped__", None)) is not None:
        dispatch.__dict__.setdefault("__dynamo_disable", dispatch)
