"""The fields of the training log: accuracies, actions and validations (docs/training.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from adagen.generators.actions import Actions
from adagen.generators.stopping import STOP
from adagen.training.trajectories import Trajectories

Record = dict[str, Any]

DEAD = 0.005
"""An action is dead at a call if one sigma of exploration moves it by less than this share of its
range. At half a per cent and less, other effects on the image hide that of the action."""
SATURATED = 0.01
"""A bounded action is saturated within this share of its range from either end."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Measurements of samples that the averaged policy makes without exploration.

    Attributes:
        fid: primary distance.
        fid_label_free: label-free distance; None where the protocol has none.
        recall: share of real images near a sample; None where the protocol has none.
        spread: standard deviation of each action over samples, averaged over calls.
        moments: mean, covariance and number of the features in each space of the meter.
    """

    fid: float
    fid_label_free: float | None
    recall: float | None
    spread: dict[str, float]
    moments: tuple[tuple[Any, ...], ...] = ()

    def record(self) -> Record:
        """The fields of the log, with the prefix `validation_`."""
        return {f"validation_{name}": getattr(self, name) for name in LOGGED}

    def start_record(self) -> Record:
        """The fields of the log of a validation before the first update."""
        return {"start_fid": self.fid, "start_fid_label_free": self.fid_label_free}


LOGGED = ("fid", "fid_label_free", "recall", "spread")
"""The measurements of a validation that a training log has."""
NOT_VALIDATED: Record = {f"validation_{name}": None for name in LOGGED}
"""The same fields after an update without a validation."""
AT_START = ("start_fid", "start_fid_label_free", "start_final_fid")
"""Distances of the policy that a training begins with, in the record of its first update: of a
validation, and at the end of more samples if it was among the nearest then."""
NOT_STARTED: Record = dict.fromkeys(AT_START)
"""The same fields in every other record."""
POLISHED = ("polish_start_fid", "polish_fid")
"""Distances of the policy that was kept, before and after the search around it, of that search's
own samples; in the record of the last update."""
NOT_FINAL: Record = dict.fromkeys(("final_fid", "final_fid_label_free", *POLISHED))
"""Distances at the end of the training, of an update whose policy is not measured then."""
NO_ACCURACY: Record = {
    f"{measure}_{name}": None
    for measure in ("accuracy", "loss")
    for name in ("real", "heldout", "fake")
}
"""The fields of `accuracy` under a reward that calls no image real or generated."""


def validations(records: Sequence[Record]) -> list[Record]:
    """The records that have a validation; before them the first, with that of the start as its own.

    There are none of the start where a training began without one.
    """
    measured = [record for record in records if record["validation_fid"] is not None]
    if not records or records[0]["start_fid"] is None:
        return measured
    first = records[0]
    at_start = {f"validation_{name}": first[f"start_{name}"] for name in ("fid", "fid_label_free")}
    return [{**first, **at_start}, *measured]


def accuracy(name: str, logits: torch.Tensor, *, sign: int) -> Record:
    """Accuracy and loss of a discriminator on a set of images.

    Args:
        name: of the set.
        logits: (n,) mean logit of each image, positive for "real".
        sign: 1 for real images, -1 for generated ones.

    Returns:
        The share of images that are classified right, and the mean of -log p(truth).
    """
    signed = sign * logits
    return {
        f"accuracy_{name}": float((signed > 0).float().mean()),
        f"loss_{name}": float(F.softplus(-signed).mean()),
    }


def action_statistics(actions: Actions, trajectories: Trajectories, *, sigma: float) -> Record:
    """Mean, spread, and shares of dead and saturated calls of each action, by its name.

    A stop is meant to go to its ends, so it has no such shares.
    """
    taken = trajectories.actions
    # A bounded squash reaches its ends at infinity.
    end = torch.full_like(taken[0, 0], torch.inf)
    bottom, top = actions.squash(-end), actions.squash(end)
    bounded = [name for name, finite in zip(actions.names, top.isfinite(), strict=True) if finite]
    # Without an upper end, the range of the hand-made schedule counts, and 1 at least.
    handmade = actions.handmade.amax(0).clamp(min=1).to(taken.device)
    span = torch.where(top.isfinite(), top - bottom, handmade)
    dead = reach(actions, trajectories.raw, sigma=sigma) < DEAD * span
    margin = SATURATED * span
    saturated = (taken < bottom + margin) | (taken > top - margin)
    made = trajectories.made

    def mean(of_calls: torch.Tensor) -> dict[str, float]:
        """Mean of (T, B, K) over the calls that were made, by name."""
        return by_name(actions, of_calls.mean((0, 1)) if made is None else of_calls[made].mean(0))

    at_rest, at_an_end = (mean(x.float()) for x in (dead, saturated))
    return {
        "action_mean": mean(taken),
        "action_spread": spread(actions, taken),
        "dead_share": {name: share for name, share in at_rest.items() if name != STOP},
        "saturated_share": {name: at_an_end[name] for name in bounded if name != STOP},
    }


def reach(actions: Actions, raw: torch.Tensor, *, sigma: float) -> torch.Tensor:
    """(T, B, K) change of each action when its own raw output, (T, B, K), changes by sigma.

    It has no sign: ordered times that fall do so the more, the larger the output.
    """
    z, reached = None, []
    for call, drawn in enumerate(raw):
        low, high = (actions.smooth(z, drawn + step, call=call) for step in (-sigma, sigma))
        reached.append((actions.squash(high) - actions.squash(low)).abs() / 2)
        z = actions.smooth(z, drawn, call=call)
    return torch.stack(reached)


def spread(actions: Actions, taken: torch.Tensor) -> dict[str, float]:
    """Standard deviation over samples of actions (T, B, K), averaged over calls, by name.

    NaN stands for a call that a sample didn't make; calls of less than two samples are left out.
    """
    if not taken.isnan().any():
        return by_name(actions, taken.std(1).mean(0))
    calls = [call[~call.isnan().any(1)] for call in taken]
    return by_name(actions, torch.stack([x.std(0) for x in calls if len(x) > 1]).mean(0))


def by_name(actions: Actions, values: torch.Tensor) -> dict[str, float]:
    """The (K,) values of the actions as a dictionary."""
    return dict(zip(actions.names, values.tolist(), strict=True))
