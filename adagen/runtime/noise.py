"""Noise that belongs to the sample: sample i of a run draws everything from (run, i).

Counter-based generation (Philox) makes each draw a pure function of the run, the sample's index
and the name of the draw. Batch size, process count and resume points therefore can't change which
image a sample becomes, and no random state has to be saved in a checkpoint.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from adagen.runtime.errors import AdagenError


def _key(*parts: object) -> int:
    """64 bits that depend on every part and on their order."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def torch_generator(*parts: object) -> torch.Generator:
    """A fresh torch generator for the draw named by `parts`, e.g. ("pretrain", seed, update)."""
    return torch.Generator().manual_seed(_key(*parts) >> 1)


@dataclass(frozen=True)
class SampleNoise:
    """The noise of a batch of samples.

    Attributes:
        purpose: why the samples are drawn ("report", "search", "train", ...). Different purposes
            never share noise, so that selection and reporting can't meet by accident.
        seed: the run's seed within that purpose.
        indices: (B,) which samples of the run these are. Equal indices draw equal noise.
        device: where the tensors are put.
    """

    purpose: str
    seed: int
    indices: Sequence[int]
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - a device is immutable

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device) -> "SampleNoise":
        """The same noise, delivered on `device`."""
        return replace(self, device=device)

    def candidate(self, choice: str, k: int) -> "SampleNoise":
        """The noise of candidate k where several are drawn of each sample; 0 is the sample itself.

        `choice` names what is chosen from, as different choices never share noise.
        """
        return self if k == 0 else replace(self, purpose=f"{self.purpose}/{choice} {k}")

    def uniform(self, draw: str, *shape: int) -> torch.Tensor:
        """(B, *shape) float32 in [0, 1); `draw` names the draw, e.g. "ids/3" for step 3."""
        rows = np.empty((len(self), *shape), np.float32)
        for stream, row in self._streams(draw, rows):
            stream.random(dtype=np.float32, out=row)
        return torch.from_numpy(rows).to(self.device)

    def normal(self, draw: str, *shape: int) -> torch.Tensor:
        """(B, *shape) float32 standard normal."""
        rows = np.empty((len(self), *shape), np.float32)
        for stream, row in self._streams(draw, rows):
            stream.standard_normal(dtype=np.float32, out=row)
        return torch.from_numpy(rows).to(self.device)

    def gumbel(self, draw: str, *shape: int) -> torch.Tensor:
        """(B, *shape) float32 standard Gumbel, -log(-log u)."""
        # float32 uniforms reach 0 exactly, whose Gumbel is -inf and would poison a sum.
        u = self.uniform(draw, *shape).clamp(min=torch.finfo(torch.float32).tiny, max=1 - 2**-24)
        return -torch.log(-torch.log(u))

    def _streams(
        self, draw: str, rows: np.ndarray
    ) -> Iterator[tuple[np.random.Generator, np.ndarray]]:
        """Each sample's stream, at its beginning, with the sample's row, flat.

        One stream is turned into the next by its key: making a new one asks the system for entropy
        that the key then replaces, which takes longer than to draw.
        """
        # Beside a smaller number NumPy rounds one from 2**63 on to 53 bits. Images depend on it.
        run, counter = _key(self.purpose, self.seed), [0, 0, 0, _key(draw)]
        philox = np.random.Philox(key=[run, 0], counter=counter)
        stream, beginning = np.random.Generator(philox), philox.state
        for index, row in zip(self.indices, rows.reshape(len(self), -1), strict=True):
            beginning["state"]["key"][1] = index
            philox.state = beginning
            yield stream, row


def draw_categorical(logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Draw ids from softmax(logits) by inverting the cumulative distribution.

    Args:
        logits: (..., V); -inf where a token is excluded.
        uniform: (...) one number in [0, 1) a draw.

    Returns:
        (...) int64 ids, never one with probability zero.

    Raises:
        AdagenError: the logits of a draw hold NaN, +inf, or nothing but -inf.
    """
    cumulative = logits.double().softmax(-1).cumsum(-1)
    # Rounding leaves the last entry near 1, not at 1: scale so that u < total always holds.
    total = cumulative[..., -1:]
    if not torch.isfinite(total).all():
        row = int((~torch.isfinite(total)).nonzero()[0, 0])
        raise AdagenError(
            f"the logits of sample {row} of the batch are not finite: the generator or the policy "
            "returned NaN or infinity. Check both files; train again if need be."
        )
    target = uniform.double().unsqueeze(-1) * total
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1)


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Seed torch's global CPU generator inside the block (initial weights); restore it after."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_key(*parts) >> 1)
        yield
