"""The best static schedule by search: the baseline that a learned schedule has to beat.

A schedule is the hand-made one plus, for each action, an offset and a slope over the steps, in
logits. CMA-ES moves these 2K numbers to lower the Frechet distance of samples drawn with noise
that is the same for every candidate and never used for reporting.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cma
import numpy as np
import torch

from adagen.actions import Actions
from adagen.checkpoints import load_checkpoint, save_checkpoint
from adagen.config import Sweep
from adagen.policies import ConstantTable
from adagen.progress import progress

Trial = dict[str, float]


def static_schedule(parameters: np.ndarray[Any, Any], actions: Actions) -> ConstantTable:
    """The table raw[t, k] = offset_k + slope_k x_t, with x_t from -1 to 1 over the calls.

    Args:
        parameters: (2K,) K offsets, then K slopes, in logits.
        actions: the actions they are offsets to.
    """
    offset, slope = torch.from_numpy(parameters).float().chunk(2)
    table = ConstantTable(actions.calls, len(actions.names))
    x = torch.linspace(-1, 1, actions.calls).unsqueeze(1)
    table.table.data.copy_(offset + slope * x)
    return table.requires_grad_(False)


def search(
    actions: Actions,
    distance: Callable[[ConstantTable], float],
    settings: Sweep,
    name: str,
    checkpoint: Path | None = None,
) -> tuple[ConstantTable, list[Trial]]:
    """Find the static schedule of least distance within `settings.evaluations` trials.

    The hand-made schedule is the first trial, so the result is never worse than it by the
    search's own samples. A killed search resumes: the trials it made are told to it again.

    Returns:
        The best schedule and all trials, in order.
    """
    names = [f"{a}_{what}" for what in ("offset", "slope") for a in actions.names]
    trials: list[Trial] = []
    if checkpoint is not None and (state := load_checkpoint(checkpoint, name, settings)):
        trials = state["trials"]
    done = iter(list(trials))
    bar = progress(None, name, settings.evaluations, len(trials))

    def evaluate(x: np.ndarray[Any, Any]) -> float:
        if (known := next(done, None)) is not None:
            return known["fid"]
        value = float(distance(static_schedule(x, actions)))
        trials.append(
            {
                "evaluation": len(trials) + 1,
                "fid": value,
                **dict(zip(names, x.tolist(), strict=True)),
            }
        )
        bar.set_postfix(best=f"{min(trial['fid'] for trial in trials):.3f}", refresh=False)
        bar.update()
        if checkpoint is not None:
            save_checkpoint(checkpoint, name, settings, {"trials": trials})
        return value

    random = np.random.default_rng(settings.seed)
    options = {
        "verbose": -9,
        "seed": np.nan,  # leave numpy's global state alone
        "randn": lambda *shape: random.standard_normal(shape),
    }
    strategy = cma.CMAEvolutionStrategy(np.zeros(len(names)), settings.spread, options)
    with bar:
        evaluate(np.zeros(len(names)))
        used = 1
        while used < settings.evaluations:
            candidates = strategy.ask()
            if used + len(candidates) > settings.evaluations:
                for x in candidates[: settings.evaluations - used]:
                    evaluate(x)
                break
            strategy.tell(candidates, [evaluate(x) for x in candidates])
            used += len(candidates)
    best = min(trials, key=lambda trial: trial["fid"])
    return static_schedule(np.array([best[key] for key in names]), actions), trials
