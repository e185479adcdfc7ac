"""What a comparison found, and the table of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch


@dataclass(frozen=True)
class Tolerance:
    """The largest error allowed.

    Attributes:
        value: the error.
        kind: "abs", as it is; "rel", over the largest expected number; "col", over the largest
            expected number of its own column, for columns in units of their own.
    """

    value: float
    kind: Literal["abs", "rel", "col"] = "abs"

    def __str__(self) -> str:
        return f"{self.value:.0e} {self.kind}" if self.value else "identical"


IDENTICAL = Tolerance(0)
NETWORK = Tolerance(2e-5)
POLICY = Tolerance(2e-6)
ACTION = Tolerance(2e-6, "col")
SAMPLER = Tolerance(1e-5, "rel")
SAMPLER_ACTION = Tolerance(1e-5, "col")
PROBABILITY = Tolerance(1e-6)
LOSS = Tolerance(1e-6)
DISTANCE = Tolerance(1e-6, "rel")
GRADIENT = Tolerance(1e-5, "rel")
HALF = Tolerance(1e-3)
"""For numbers that a golden file holds in half precision."""
DEFICIENT = Tolerance(1e-4, "rel")
"""For distances of too few features: the authors' moments are in float32, whose rounding takes the
place of the missing ranks."""
UPDATED = Tolerance(5e-4)
"""For what follows two updates of Adam, whose steps don't shrink with the gradient: features
changed by 1e-7 come out changed by 1e-4."""


@dataclass(frozen=True)
class Line:
    """One compared quantity.

    Attributes:
        file: name of the golden file.
        quantity: which of its arrays, or which number of its meta.
        absolute: max |found - expected|.
        relative: the same over max |expected|, of the worst column if columns have units of
            their own.
        tolerance: what is allowed, in words.
        verdict: "ok", or what is wrong.
        found: what adagen computes.
    """

    file: str
    quantity: str
    absolute: float
    relative: float
    tolerance: str
    verdict: str
    found: torch.Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return self.verdict == "ok"


def compare(
    file: str, quantity: str, found: torch.Tensor, expected: torch.Tensor, tolerance: Tolerance
) -> Line:
    """Compare two tensors of equal shape; a NaN on either side is out of any tolerance."""
    given = found
    shapes = tuple(found.shape), tuple(expected.shape)
    if shapes[0] != shapes[1]:
        verdict = f"OUT: shape {shapes[0]} instead of {shapes[1]}"
        return Line(file, quantity, math.nan, math.nan, str(tolerance), verdict, found)
    found, expected = found.double(), expected.double()
    # Infinities of one sign are equal, though their difference is NaN.
    difference = (found - expected).abs().masked_fill(found == expected, 0)
    columns = expected.shape[-1] if tolerance.kind == "col" else 1
    worst, scale = (x.reshape(-1, columns).amax(0) for x in (difference, expected.abs()))
    absolute = float(difference.max())
    relative = float((worst / scale).masked_fill(worst == 0, 0).max())
    error = absolute if tolerance.kind == "abs" else relative
    verdict = "ok" if error <= tolerance.value else "OUT"
    if verdict == "OUT" and tolerance == IDENTICAL:
        verdict = f"OUT: {int((difference != 0).sum())} of {difference.numel()} differ"
    return Line(file, quantity, absolute, relative, str(tolerance), verdict, given)


def same(file: str, quantity: str, found: object, expected: object) -> Line:
    """Compare what isn't a tensor."""
    verdict = "ok" if found == expected else f"OUT: {found} instead of {expected}"
    error = 0.0 if found == expected else math.nan
    return Line(file, quantity, error, error, str(IDENTICAL), verdict)


def failure(file: str, quantity: str, told: str) -> Line:
    """A line where nothing could be compared."""
    return Line(file, quantity, math.nan, math.nan, "", told)


def table(lines: Sequence[Line]) -> str:
    """The lines in aligned columns, under their headings."""
    rows = [("file", "quantity", "max abs", "max rel", "tolerance", "verdict")]
    for line in lines:
        errors = [
            "-" if math.isnan(e) else f"{e:.1e}" if e else "0"
            for e in (line.absolute, line.relative)
        ]
        rows.append((line.file, line.quantity, *errors, line.tolerance, line.verdict))
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row[:5], widths, strict=True)), row[5]])
        for row in rows
    )
