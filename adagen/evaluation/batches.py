"""Images that come in batches: checked, and cut into batches of one size."""

from collections.abc import Iterable, Iterator

import torch

from adagen.runtime.errors import AdagenError


def rebatch(batches: Iterable[torch.Tensor], size: int) -> Iterator[torch.Tensor]:
    """The same images in batches of `size`, so that a number doesn't depend on how they came.

    Args:
        batches: (b, C, H, W) in [0, 1], all of one shape but for b.
        size: images in a batch; only the last may have fewer.

    Raises:
        AdagenError: images hold NaN, leave [0, 1] or differ in shape; or there are none.
    """
    rest = None
    for batch in _checked(batches):
        rest = batch if rest is None else torch.cat([rest, batch])
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
    if rest is None:
        raise AdagenError("there are no images to measure.")
    if len(rest):
        yield rest


def _checked(batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The batches; the error says which image is wrong."""
    count, shape = 0, None
    for batch in batches:
        if batch.ndim != 4 or not batch.is_floating_point():
            raise AdagenError(
                f"a batch of images is {batch.dtype} of shape {tuple(batch.shape)}, but float "
                "(b, C, H, W) in [0, 1] is expected; a single batch goes in a list."
            )
        shape = shape or batch.shape[1:]
        if batch.shape[1:] != shape:
            raise AdagenError(
                f"image {count} has shape {tuple(batch.shape[1:])} (channels, height, width), but "
                f"those before it have {tuple(shape)}: all images of a set must agree."
            )
        if shape[0] not in (1, 3):
            raise AdagenError(
                f"images have {shape[0]} channels, but 1 (grey) or 3 (colour) are expected."
            )
        flat = batch.flatten(1)
        for what, broken in (
            ("holds NaN or infinity", ~flat.isfinite().all(1)),
            ("leaves the range [0, 1]", ((flat < 0) | (flat > 1)).any(1)),
        ):
            if broken.any():
                raise AdagenError(
                    f"image {count + int(broken.nonzero()[0])} {what}. "
                    "Look at the generator and the actions that made it."
                )
        count += len(batch)
        yield batch.float()
