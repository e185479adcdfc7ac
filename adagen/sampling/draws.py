"""The classes of samples 0 .. n-1 of a run."""

import torch

from adagen import config
from adagen.runtime.errors import AdagenError


def class_labels(samples: int, num_classes: int) -> torch.Tensor:
    """(n,) sample i shows class i mod C: every class comes equally often, in any run of C."""
    return torch.arange(samples) % num_classes


def report_labels(evaluation: config.Evaluation, num_classes: int) -> torch.Tensor:
    """(n,) classes of the samples that are reported on.

    Protocol `authors` samples class after class, n / C images of each: i div (n / C). The other
    protocols go round the classes, i mod C.

    Raises:
        AdagenError: protocol `authors` is asked for a number of samples that C doesn't divide.
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
