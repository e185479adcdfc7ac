"""The classes of the samples of a run."""

from collections.abc import Sequence
from typing import Any

import torch

from adagen import config
from adagen.generators.conditions import ClassConditions, Conditions
from adagen.runtime.arguments import require_count
from adagen.runtime.errors import AdagenError

Labels = int | Sequence[int] | torch.Tensor | None
"""One class, one for each sample, or None for all classes in turn."""
NO_CLASS = (torch.bool, torch.complex64, torch.complex128)
"""Types of numbers, beside floats, that number no classes."""


def report_labels(evaluation: config.Evaluation, conditions: Conditions) -> torch.Tensor:
    """(n,) labels of the samples that are reported on.

    Protocol `authors` samples class after class, n / C images of each: sample i has class
    i div (n / C). In the other protocols the conditions are taken in turn, and captions are in
    every one.

    Raises:
        AdagenError: the protocol is `authors`, and C doesn't divide the number of samples.
    """
    n = evaluation.samples
    if evaluation.protocol != "authors" or not isinstance(conditions, ClassConditions):
        return conditions.in_turn(n)
    num_classes = len(conditions)
    if n % num_classes:
        raise AdagenError(
            f"key 'evaluation.samples' is {n}, but protocol 'authors' samples all "
            f"{num_classes} classes equally often: choose a multiple of {num_classes}, "
            f"{num_classes * max(1, round(n / num_classes))} for example."
        )
    return torch.arange(n) // (n // num_classes)


def requested_labels(labels: Labels, n: int | None, *, conditions: Conditions) -> torch.Tensor:
    """(n,) int64 labels of the samples that a user asks for.

    Args:
        labels: one class for all samples, or one for each; None for all classes in turn.
        n: number of samples; None for as many as there are labels, or one of each class.
        conditions: those of the generator.

    Raises:
        AdagenError: `n` is no number of samples, or not the number of labels; or a label is none
            of the classes.
    """
    n = None if n is None else require_count("n", n)
    if labels is None:
        return conditions.in_turn(n or len(conditions))
    given = _whole_numbers(labels)
    if given.ndim > 1 or not given.numel() or (given.ndim and n not in (None, len(given))):
        raise AdagenError(
            f"labels have shape {tuple(given.shape)} where "
            f"{'one class or more' if n is None else f'one class or {n} of them'} was "
            "expected: give a number, or one number for each sample."
        )
    require_classes(given, len(conditions))
    return given.repeat(n or 1) if given.ndim == 0 else given


def require_classes(labels: torch.Tensor, num_classes: int) -> None:
    """Refuse labels that are no class; the null class is for the generator's guidance alone."""
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        raise AdagenError(
            f"label {int(labels[outside][0])} is out of range: the generator has {num_classes} "
            f"classes, 0 to {num_classes - 1}. Check that data set and generator belong together."
        )


def _whole_numbers(labels: Any) -> torch.Tensor:
    """Labels of any integer type as an int64 tensor on the CPU."""
    try:
        given = torch.as_tensor(labels, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        given = None
    if given is None or (given.numel() and (given.is_floating_point() or given.dtype in NO_CLASS)):
        raise AdagenError(
            f"labels are {labels!r}, but classes are whole numbers: give one, or one for each "
            "sample. Texts are `prompts`."
        )
    return given.long()
