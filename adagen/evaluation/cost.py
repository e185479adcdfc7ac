"""The cost of generating an image, in floating-point operations."""

from collections.abc import Callable

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


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
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        generate()
    return float(counter.get_total_flops()) / images / 1e9
