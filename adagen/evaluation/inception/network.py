"""Inception-v3 for metrics: the port of TensorFlow's network of 2015.

Layers and keys are torchvision's. Pooling differs, and metrics depend on it: averages leave out
the padding, and the last block takes maxima.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 1008
"""Number of logits; ImageNet's thousand classes are among them."""
SPATIAL = 7
"""Number of channels of the spatial features."""

Pool = Callable[[torch.Tensor], torch.Tensor]
_average: Pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
_maximum: Pool = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
_halve: Pool = partial(F.max_pool2d, kernel_size=3, stride=2)


@dataclass(frozen=True)
class InceptionOutput:
    """The outputs that metrics use.

    Attributes:
        pool: (B, 2048 / shrink) means of the last block over positions.
        logits: (B, 1008) without the bias.
        spatial: (B, 17, 17, 7) first channels of the first branch of Mixed_6d (TensorFlow's
            mixed_6/conv).
    """

    pool: torch.Tensor
    logits: torch.Tensor
    spatial: torch.Tensor


class Inception(nn.Module):
    """The network, for use in eval mode only.

    Args:
        shrink: divides every channel count. 1 is the released network; 2, 4, 8 and 16 are for
            tests with random weights.
    """

    def __init__(self, shrink: int = 1) -> None:
        from torchvision.models import inception as torchvision  # over a second of start-up

        super().__init__()
        conv = partial(_convolution, shrink)
        self.Conv2d_1a_3x3 = conv(3 * shrink, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.Mixed_5b = torchvision.InceptionA(192, 32, conv)
        self.Mixed_5c = torchvision.InceptionA(256, 64, conv)
        self.Mixed_5d = torchvision.InceptionA(288, 64, conv)
        self.Mixed_6a = torchvision.InceptionB(288, conv)
        self.Mixed_6b = torchvision.InceptionC(768, 128, conv)
        self.Mixed_6c = torchvision.InceptionC(768, 160, conv)
        self.Mixed_6d = torchvision.InceptionC(768, 160, conv)
        self.Mixed_6e = torchvision.InceptionC(768, 192, conv)
        self.Mixed_7a = torchvision.InceptionD(768, conv)
        self.Mixed_7b = torchvision.InceptionE(1280, conv)
        self.Mixed_7c = torchvision.InceptionE(2048, conv)
        self.fc = nn.Linear(2048 // shrink, CLASSES)

    def forward(self, x: torch.Tensor) -> InceptionOutput:
        """Features and logits of images (B, 3, 299, 299) in [-1, 1]."""
        x = self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))  # (B, 32, 147, 147)
        x = _halve(self.Conv2d_2b_3x3(x))  # (B, 64, 73, 73)
        x = _halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))  # (B, 192, 35, 35)
        for block in (self.Mixed_5b, self.Mixed_5c, self.Mixed_5d):
            x = torch.cat(_branches_a(block, x), 1)  # (B, 288, 35, 35) at last
        x = self.Mixed_6a(x)  # (B, 768, 17, 17)
        for block in (self.Mixed_6b, self.Mixed_6c):
            x = torch.cat(_branches_c(block, x), 1)  # (B, 768, 17, 17)
        branches = _branches_c(self.Mixed_6d, x)
        spatial = branches[0][:, :SPATIAL].permute(0, 2, 3, 1)  # (B, 17, 17, 7)
        x = torch.cat(_branches_c(self.Mixed_6e, torch.cat(branches, 1)), 1)  # (B, 768, 17, 17)
        x = self.Mixed_7a(x)  # (B, 1280, 8, 8)
        x = torch.cat(_branches_e(self.Mixed_7b, x, _average), 1)  # (B, 2048, 8, 8)
        x = torch.cat(_branches_e(self.Mixed_7c, x, _maximum), 1)  # (B, 2048, 8, 8)
        pool = x.mean((2, 3))  # (B, 2048)
        return InceptionOutput(pool, F.linear(pool, self.fc.weight), spatial)


def _convolution(shrink: int, into: int, out: int, **shape: int) -> nn.Module:
    """Convolution, batch normalisation and ReLU; `shrink` divides the channel counts."""
    from torchvision.models.inception import BasicConv2d

    layer: nn.Module = BasicConv2d(into // shrink, out // shrink, **shape)
    return layer


def _branches_a(block: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """The outputs that a block of kind A concatenates."""
    return [
        block.branch1x1(x),
        block.branch5x5_2(block.branch5x5_1(x)),
        block.branch3x3dbl_3(block.branch3x3dbl_2(block.branch3x3dbl_1(x))),
        block.branch_pool(_average(x)),
    ]


def _branches_c(block: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """The outputs that a block of kind C concatenates."""
    double = block.branch7x7dbl_3(block.branch7x7dbl_2(block.branch7x7dbl_1(x)))
    return [
        block.branch1x1(x),
        block.branch7x7_3(block.branch7x7_2(block.branch7x7_1(x))),
        block.branch7x7dbl_5(block.branch7x7dbl_4(double)),
        block.branch_pool(_average(x)),
    ]


def _branches_e(block: Any, x: torch.Tensor, pool: Pool) -> list[torch.Tensor]:
    """The outputs that a block of kind E concatenates."""
    single = block.branch3x3_1(x)
    double = block.branch3x3dbl_2(block.branch3x3dbl_1(x))
    return [
        block.branch1x1(x),
        block.branch3x3_2a(single),
        block.branch3x3_2b(single),
        block.branch3x3dbl_3a(double),
        block.branch3x3dbl_3b(double),
        block.branch_pool(pool(x)),
    ]
