"""The device that networks run on."""

import torch

from adagen.runtime.allocator import keep_freed_memory
from adagen.runtime.errors import AdagenError


def choose_device(name: str) -> torch.device:
    """The device "cpu", "cuda", another of torch's, or the best there is ("auto").

    Convolutions are set to compute in float32. Otherwise torch rounds their operands to ten bits
    on GPUs (TF32), and metrics, rewards and tokenisers are convolutions. On a CPU memory is kept.

    Raises:
        AdagenError: a GPU is asked for, and there is none; or torch has no such device.
    """
    available = torch.cuda.is_available()
    if name.startswith("cuda") and not available:
        raise AdagenError(
            f"key 'device' is {name!r}, but torch sees no GPU: install a build of torch for it, or "
            "say `device: cpu` (or `auto`)."
        )
    torch.backends.cudnn.allow_tf32 = False
    if name == "auto":
        name = "cuda" if available else "cpu"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "meta"):
            torch.empty(0, device=device)  # torch knows names of devices that it was not built for
    except (RuntimeError, AssertionError):
        raise AdagenError(
            f"device is {name!r}, which torch does not have on this machine: give 'cpu', 'cuda' "
            "or 'auto'."
        ) from None
    if device.type == "cpu":
        keep_freed_memory()
    return device
