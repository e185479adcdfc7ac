"""Generations under a policy: how far rounding alone may take two programs apart.

A policy sees what the generator makes, so an error of rounding comes back in the next action, and
grows from step to step: DiT times a thousand goes into cosines. How much it has grown is measured.
The generation is made in float64, too. What float32 is off from it is the error of one program; two
correct programs are up to two such errors apart. Errors of one size differ by a factor of two from
one order of operations to the next, so four are allowed, of the largest in a few orders. Both
precisions are held to it. A wrong formula changes float64 as well, by more than rounding does.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .driving import Watched
from .folder import Golden
from .report import Line, Tolerance

FACTOR = 4
"""Errors of rounding that two programs may be apart."""
ORDERS = 4
"""Orders of operations that are tried, where the first leaves a line out."""
LARGEST = 1e-3
"""Relative error that no amount of amplification excuses."""

Numbers = dict[str, torch.Tensor]
Generate = Callable[[torch.dtype, int], Numbers]
"""Makes all numbers of a generation by their keys, in a precision and an order of operations."""


class Float64(TorchFunctionMode):
    """While it lasts, what is turned to float32 is turned to float64."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        return func(*args, **(kwargs or {}))


class Reordered(Watched):
    """A generator whose actions are off by at most a unit in the last place.

    Another order of operations in policy and network does the same.
    """

    def __init__(self, generator: Any, seed: int) -> None:
        super().__init__(generator)
        self.random = torch.Generator().manual_seed(seed)

    def step(self, state: Any, action: torch.Tensor) -> Any:
        units = torch.randint(-1, 2, action.shape, generator=self.random)
        return super().step(state, action * (1 + 2.0**-23 * units))


def relative(found: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest error over the largest number."""
    return float((found.double() - exact).abs().max() / exact.abs().max())


def amplified(golden: Golden, generate: Generate, tolerance: Tolerance) -> Iterator[Line]:
    """The lines of a generation, in float32 and in float64.

    Args:
        golden: the expected numbers.
        generate: makes the numbers; order 0 is the program's own.
        tolerance: what is allowed, relatively, where nothing is amplified.
    """
    exact = generate(torch.float64, 0)
    rounded = [generate(torch.float32, 0)]
    while True:
        lines = list(_lines(golden, exact, rounded, tolerance))
        if len(rounded) == ORDERS or all(line.ok for line in lines):
            break
        rounded.append(generate(torch.float32, len(rounded)))
    yield from lines


def _lines(
    golden: Golden, exact: Numbers, rounded: list[Numbers], tolerance: Tolerance
) -> Iterator[Line]:
    for key, number in exact.items():
        grown = FACTOR * max(relative(numbers[key], number) for numbers in rounded)
        allowed = Tolerance(min(max(tolerance.value, grown), LARGEST), "rel")
        yield from golden.compare(key, rounded[0][key], allowed)
        yield from golden.compare(key, number, allowed, note=" in float64")
