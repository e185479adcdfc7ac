"""The resizing of images for Inception: three published versions give three different distances.

All take images (b, 3, H, W) float32 in [0, 1] and return (b, 3, 299, 299) around [-1, 1].
"""

from collections.abc import Callable

import numpy as np
import torch
from cleanfid.resize import build_resizer
from torch.nn import functional as F

SIDE = 299
"""Side of Inception's input images, in pixels."""


def authors(images: torch.Tensor) -> torch.Tensor:
    """Keep float images, and resize them bilinearly with half-pixel centres, not antialiased."""
    resized = F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return 2 * resized - 1


def adm(images: torch.Tensor) -> torch.Tensor:
    """Round to 8 bits, and resize as TensorFlow 1 does: bilinearly, with pixel i at i H / 299."""
    return (legacy_bilinear(_to_bytes(images), SIDE) - 128) / 128


def clean(images: torch.Tensor) -> torch.Tensor:
    """Round to 8 bits, and resize as clean-fid does: bicubically, antialiased, in float."""
    resize = build_resizer("clean")
    pixels = _to_bytes(images).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    resized = np.stack([resize(image) for image in pixels])
    return (torch.from_numpy(resized).permute(0, 3, 1, 2).to(images.device) - 128) / 128


RESIZINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "authors": authors,
    "adm": adm,
    "clean": clean,
}
"""Resizing function by protocol."""


def legacy_bilinear(images: torch.Tensor, side: int) -> torch.Tensor:
    """Resize (b, C, H, W) bilinearly without half-pixel centres or aligned corners.

    Output pixel i lies at i H / side of the input. The image therefore moves towards its upper left
    corner, and the last pixel is repeated at the border.
    """
    return _along(_along(images, side, -1), side, -2)


def _along(images: torch.Tensor, side: int, axis: int) -> torch.Tensor:
    """Resize one axis for `legacy_bilinear`."""
    length = images.shape[axis]
    position = torch.arange(side, dtype=torch.float32, device=images.device) * (length / side)
    below = position.floor().long()
    above = (below + 1).clamp(max=length - 1)
    share = (position - below).view(-1, *[1] * (-axis - 1))
    return images.index_select(axis, below).lerp(images.index_select(axis, above), share)


def _to_bytes(images: torch.Tensor) -> torch.Tensor:
    """Round to the 256 levels of an image file, as floats from 0 to 255."""
    return (images * 255).round()
