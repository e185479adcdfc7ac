"""What measures images: Frechet distance, Inception Score, Inception features."""

from collections.abc import Iterator

import torch

from adagen.evaluation.frechet import Gaussian, Moments, gaussian_distance
from adagen.evaluation.inception_score import inception_score

from . import networks
from .folder import Folder, Golden
from .report import DEFICIENT, DISTANCE, NETWORK, Line, compare


def distances(folder: Folder, golden: Golden) -> Iterator[Line]:
    """Frechet distances, also of too few features, and the Inception Score."""
    for key, found in golden.matching(r"fid_(\w+)"):
        case, expected = found[1], golden[key]
        if expected.isnan():  # the square root the authors take has no real value there
            key = f"{key}_complex_sqrt"
            expected = torch.tensor(golden.meta[key], dtype=torch.float64)
        features = Moments.of(golden[f"{case}_x"])
        tolerance = DISTANCE if features.count > len(features.mean) else DEFICIENT
        reference = Gaussian(golden[f"{case}_mu"], golden[f"{case}_sigma"])
        distance = gaussian_distance(features, reference)
        yield compare(golden.name, key, torch.tensor(distance).double(), expected, tolerance)
    if "isc" in golden:
        logits = folder.draw(golden, golden.meta["isc_logits"])
        score = torch.tensor(inception_score(logits), dtype=torch.float64)
        yield from golden.compare("isc", score, DISTANCE)


@torch.no_grad()
def inception(folder: Folder, golden: Golden) -> Iterator[Line]:
    """Features and logits of images of any side, resized as in the authors' protocol."""
    from adagen.evaluation.inception.network import Inception
    from adagen.evaluation.inception.resizing import authors

    network = networks.filled(Inception(), golden.meta["recipe"])
    for key, found in golden.matching(r"feat2048(_\d+)?"):
        side = found[1] or ""
        formula = golden.meta[f"image{side.removeprefix('_')}"]
        output = network(authors(folder.draw(golden, formula, (len(golden[key]),))))
        yield from golden.compare(key, output.pool, NETWORK)
        yield from golden.compare(f"logits_unbiased{side}", output.logits, NETWORK)


CHECKS = {"fid_is*": distances, "inception*": inception}
