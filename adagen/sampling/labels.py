"""The classes of the samples of a run."""

import torch

from adagen import config
from adagen.runtime.errors import AdagenError


def class_labels(samples: int, num_classes: int) -> torch.Tensor:
    """(n,) class i mod C of sample i: any C samples in a row show every class once."""
    return torch.arange(samples) % num_classes


def report_labels(evaluation: config.Evaluation, num_classes: int) -> torch.Tensor:
    """(n,) classes of the samples that are reported on.

    Protocol `authors` samples class after class, n / C images of each: sample i has class
    i div (n / C). In the other protocols it has class i mod C.

    Raises:
        AdagenError: the protocol is `authors`, and C doesn't divide the number of samples.
    """
    n = evaluation.samples
    if evaluation.protocol != "authors":
        return class_labels(n, num_classes)
    if n % num_classes:
        raise AdagenError(
            f"key 'evaluation.samples' is {n}, but protocol 'authors' samples all "
            f"{num_classes} classes equally often: choose a multiple of {num_classes}, "
            f"{num_classes * max(1, round(n / num_classes))} for example."
        )
    return torch.arange(n) // (n // num_classes)
