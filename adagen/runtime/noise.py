"""Random numbers that belong to the sample: sample i of a run draws all its noise from (run, i).

Counter-based generation (Philox) makes each draw a pure function of the run, the sample's index
and the name of the draw. Batch size, process count and resume points therefore never change an
image, and checkpoints need no random state.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch


def _key(*parts: object) -> int:
    """A hash of 64 bits of all parts in their order."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def torch_generator(*parts: object) -> torch.Generator:
    """A new torch generator for the draw that `parts` name, e.g. ("pretrain", seed, update)."""
    return torch.Generator().manual_seed(_key(*parts) >> 1)


@dataclass(frozen=True)
class SampleNoise:
    """The noise of a batch of samples.

    Attributes:
        purpose: what the samples are drawn for ("report", "search", "train", ...). Different
            purposes never share noise, so that a selection never reports its own samples.
        seed: the run's seed within that purpose.
        indices: (B,) indices of the samples in the run. Equal indices draw equal noise.
        device: the device of the tensors.
    """

    purpose: str
    seed: int
    indices: Sequence[int]
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - a device is immutable

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device) -> "SampleNoise":
        """The same noise with tensors on `device`."""
        return replace(self, device=device)

    def candidate(self, choice: str, k: int) -> "SampleNoise":
        """The noise of candidate k of each sample; candidate 0 is the sample itself.

        Args:
            choice: names the choice between candidates. Different choices never share noise.
            k: index of the candidate.
        """
        return self if k == 0 else replace(self, purpose=f"{self.purpose}/{choice} {k}")

    def taken(self, rows: Sequence[int]) -> "SampleNoise":
        """The noise of some of the samples, by their rows."""
        return replace(self, indices=[self.indices[row] for row in rows])

    def uniform(self, draw: str, *shape: int) -> torch.Tensor:
        """(B, *shape) float32 in [0, 1); `draw` names the draw, e.g. "ids/3" for step 3."""
        rows = self._rows(shape)
        for stream, row in self._streams(draw, rows):
            stream.random(None, np.float32, row)
        return rows.to(self.device, non_blocking=True)

    def normal(self, draw: str, *shape: int) -> torch.Tensor:
        """(B, *shape) float32 standard normal."""
        rows = self._rows(shape)
        for stream, row in self._streams(draw, rows):
            stream.standard_normal(None, np.float32, row)
        return rows.to(self.device, non_blocking=True)

    def gumbel(self, draw: str, *shape: int) -> torch.Tensor:
        """(B, *shape) float32 standard Gumbel, -log(-log u)."""
        # A float32 uniform can be exactly 0, whose Gumbel is -inf and would spoil a sum.
        u = self.uniform(draw, *shape).clamp(min=torch.finfo(torch.float32).tiny, max=1 - 2**-24)
        return -torch.log(-torch.log(u))

    def _rows(self, shape: tuple[int, ...]) -> torch.Tensor:
        """An empty tensor (B, *shape) that a GPU copies from without being waited for."""
        pinned = self.device.type == "cuda"
        return torch.empty(len(self), *shape, dtype=torch.float32, device="cpu", pin_memory=pinned)

    def _streams(
        self, draw: str, rows: torch.Tensor
    ) -> Iterator[tuple[np.random.Generator, np.ndarray]]:
        """Yield each sample's random stream, at its beginning, with the sample's flattened row.

        All samples share one NumPy stream, which is set to their keys in turn. A new stream would
        ask the system for entropy that is never used, which takes longer than the draw.
        """
        # NumPy rounds a number from 2**63 on to 53 bits if a smaller one is beside it. Existing
        # images depend on that.
        run, counter = _key(self.purpose, self.seed), [0, 0, 0, _key(draw)]
        philox: Any = np.random.Philox(key=[run, 0], counter=counter)
        stream, beginning = np.random.Generator(philox), philox.state
        # NumPy reads a state from lists sooner than from arrays.
        beginning["buffer"] = beginning["buffer"].tolist()
        beginning["state"] = {name: x.tolist() for name, x in beginning["state"].items()}
        key, each = beginning["state"]["key"], list(rows.numpy().reshape(len(self), -1))
        for index, row in zip(self.indices, each, strict=True):
            key[1], philox.state = index, beginning
            yield stream, row


LEAST = -690.0
"""Logarithm of the smallest chance that is told from zero, relative to the likeliest token's."""


def draw_categorical(logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Draw ids from softmax(logits) by inverting the cumulative distribution.

    Args:
        logits: (..., V); -inf where a token is excluded.
        uniform: (...) a number in [0, 1) for each draw; or (..., D) for D draws from the same.

    Returns:
        int64 ids of the shape of `uniform`; none has probability zero. V where the logits of a draw
        hold NaN or +inf, or nothing but -inf.
    """
    # In double precision, because sums of many float32 numbers differ from machine to machine by
    # more than the distance of two uniform numbers.
    cumulative = logits.to(torch.float64, copy=True)  # what is given stays
    cumulative -= logits.amax(-1, keepdim=True)
    # Below `LEAST` exp takes ten times as long, on a CPU.
    cumulative.clamp_(min=LEAST).exp_().cumsum_(-1)
    # Not divided by the sum: u < 1 makes u * sum < sum. No target is as low as the sum of chances
    # that stand for zero, so that u = 0 passes them over.
    several = uniform.ndim == logits.ndim
    target = (uniform if several else uniform.unsqueeze(-1)).double() * cumulative[..., -1:]
    target.clamp_(min=2 * logits.shape[-1] * math.exp(LEAST))
    ids = torch.searchsorted(cumulative, target, right=True)
    return ids if several else ids.squeeze(-1)


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Seed torch's global CPU generator in the block, for initial weights, and restore it after."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_key(*parts) >> 1)
        yield
