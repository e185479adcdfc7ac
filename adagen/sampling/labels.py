"""The classes of the samples of a run."""

from collections.abc import Sequence

import torch

from adagen import config
from adagen.runtime.errors import AdagenError

Labels = int | Sequence[int] | torch.Tensor | None
"""One class, one for each sample, or None for all classes in turn."""


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


def requested_labels(labels: Labels, n: int | None, *, num_classes: int) -> torch.Tensor:
    """(n,) int64 classes of the samples that a user asks for.

    Args:
        labels: one class for all samples, or one for each; None for all classes in turn.
        n: number of samples; None for as many as there are labels, or one of each class.
        num_classes: classes of the generator.

    Raises:
        AdagenError: `n` is less than 1, or not the number of labels.
    """
    if n is not None and n < 1:
        raise AdagenError(f"n is {n}, but samples are 1 or more: give another number.")
    if labels is None:
        return class_labels(n or num_classes, num_classes)
    given = torch.as_tensor(labels, dtype=torch.int64, device="cpu")
    if given.ndim == 0:
        return given.repeat(1 if n is None else n)
    if given.ndim > 1 or not len(given) or n not in (None, len(given)):
        raise AdagenError(
            f"labels have shape {tuple(given.shape)} where "
            f"{'one class or more' if n is None else f'one class or {n} of them'} was "
            "expected: give a number, or one number for each sample."
        )
    return given
