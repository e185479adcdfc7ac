"""What an image costs."""

from collections.abc import Callable

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def gflops_per_image(generate: Callable[[], object], images: int) -> float:
    """Billions of floating-point operations an image: matrix products and convolutions.

    A multiplication and an addition count as two; everything elementwise is left out, as is
    usual.

    Args:
        generate: makes a batch of images, policy and decoder included.
        images: how many images one call makes.
    """
    # Fused attention kernels are not counted by every version and on every device; the plain one
    # is made of matrix products, which are.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        generate()
    return float(counter.get_total_flops()) / images / 1e9
