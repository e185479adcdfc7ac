"""Counting the FLOPs and the memory of a computation without doing it.

On torch's `meta` device tensors have a shape and nothing else: a network of billions of weights
takes no memory there, and next to no time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from adagen.evaluation.cost import Operations, plain_attention
from adagen.generators.reloading import NothingDrawn
from adagen.runtime.footprint import Footprint
from adagen.runtime.shapes import Shapes

META = torch.device("meta")


@contextmanager
def on_meta() -> Iterator[None]:
    """Build networks without values in the block.

    Some compute with their weights as they are built, to normalise them.
    """
    with META, NothingDrawn(), Shapes():
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


class _Counter(Footprint, Operations):
    """Counts memory and operations at once, in half the time that two modes take."""

    __torch_dispatch__ = Operations.__torch_dispatch__


def count(compute: Callable[[], object], images: int, *networks: nn.Module) -> Count:
    """Count a computation while it runs, on any device.

    Args:
        compute: generates, measures or learns from a batch of images; its result is held.
        images: number of images in the batch.
        networks: the networks that it uses, whose weights are not counted.
    """
    kept: list[object] = []
    with plain_attention(), _Counter(networks) as counter:
        kept.append(compute())
        numbers = counter.flops, counter.peak, counter.live, counter.made
    return Count(*(number / images for number in numbers))


def weight_bytes(*networks: nn.Module) -> int:
    """Bytes of all parameters and buffers that a file of these networks holds."""
    return sum(tensor.nbytes for network in networks for tensor in network.state_dict().values())
