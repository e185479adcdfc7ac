"""Measuring images: clean-fid's Frechet distance, and nearest neighbours by whole matrices.

clean-fid takes the square root of a matrix that isn't symmetric (scipy). The plain neighbours hold
all distances of a pair of sets at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from cleanfid.fid import frechet_distance as clean_distance

from adagen.evaluation.frechet import Moments, frechet_distance
from adagen.evaluation.manifold import precision_recall
from adagen.runtime.noise import torch_generator
from benchmarks.figures import Figure
from benchmarks.timing import alternate, ratio

NEIGHBOURS = 3


@dataclass(frozen=True)
class Sets:
    """Features (N, D) of real and generated images, correlated as those of networks are."""

    real: torch.Tensor
    generated: torch.Tensor

    @classmethod
    def of(cls, count: int, dimension: int) -> "Sets":
        """Two sets of Gaussian features; the generated ones are narrower, and lie a bit aside."""
        generator = torch_generator("benchmark", "features", count, dimension)
        mix = torch.randn(dimension, dimension, generator=generator) / dimension**0.5
        real, generated = (torch.randn(count, dimension, generator=generator) for _ in range(2))
        return cls((real @ mix).relu(), (0.9 * generated @ mix + 0.05).relu())

    def ours(self) -> float:
        """The Frechet distance from features."""
        return frechet_distance(Moments.of(self.generated), Moments.of(self.real))

    def clean(self) -> float:
        """The same by clean-fid."""
        return clean_frechet(self.generated, self.real)

    def neighbours(self) -> tuple[float, float]:
        """Precision and recall."""
        return precision_recall(self.real, self.generated, neighbours=NEIGHBOURS)

    def plain_neighbours(self) -> tuple[float, float]:
        """The same by three whole matrices of distances."""
        real, generated = self.real.double(), self.generated.double()
        between = torch.cdist(generated, real)
        reach_real, reach_generated = (
            torch.cdist(x, x).sort(1).values[:, NEIGHBOURS] for x in (real, generated)
        )
        precision = (between <= reach_real).any(1).double().mean()
        recall = (between <= reach_generated.unsqueeze(1)).any(0).double().mean()
        return float(precision), float(recall)


def clean_frechet(generated: torch.Tensor, real: torch.Tensor) -> float:
    """The Frechet distance of features (N, D) by clean-fid, from their moments in float64."""
    moments = []
    for features in (generated, real):
        rows = features.double()
        moments += [rows.mean(0).numpy(), torch.cov(rows.T).numpy()]
    return float(clean_distance(*moments))


def figures(*, tiny: bool, repeats: int) -> Iterator[Figure]:
    """Measure at the number of features of the digits, and at that of Inception or half of it."""
    least = 0.0 if tiny else 0.2
    for dimension, rounds in ((8, 2), (16, 2)) if tiny else ((64, repeats), (1024, 2)):
        sets = Sets.of(3 * dimension, dimension)
        seconds = alternate({"ours": sets.ours, "clean": sets.clean}, repeats=rounds, least=least)
        yield Figure.of(
            "evaluation",
            "clean-fid over adagen, Frechet distance",
            spread=ratio(seconds, "clean", "ours"),
            case=f"{dimension} dimensions",
        )
    for count, dimension in ((60, 8),) if tiny else ((2000, 64), (2000, 2048)):
        sets = Sets.of(count, dimension)
        seconds = alternate(
            {"ours": sets.neighbours, "plain": sets.plain_neighbours},
            repeats=min(repeats, 2),
            least=least,
        )
        yield Figure.of(
            "evaluation",
            "whole matrices over adagen, precision and recall",
            spread=ratio(seconds, "plain", "ours"),
            case=f"{count} images, {dimension} dimensions",
        )
