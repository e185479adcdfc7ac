"""The best schedule that a search finds: the baselines that a learned schedule is compared with.

CMA-ES varies a few parameters to lower the Frechet distance of samples. Their noise is the same for
every candidate, and is never used for reporting.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cma
import numpy as np

from adagen.config import Sweep
from adagen.runtime.checkpoints import load_checkpoint, save_checkpoint
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.runtime.progress import progress
from adagen.training.search_spaces import Parameters, Phase, Schedule, Space, Trial


def search(
    phases: Sequence[Phase],
    distance: Callable[[Schedule], float],
    *,
    settings: Sweep,
    name: str,
    checkpoint: Path | None = None,
    processes: Processes = SINGLE_PROCESS,
    known: Sequence[Trial] = (),
    inputs: Mapping[str, Any] | None = None,
) -> tuple[Schedule, list[Trial]]:
    """Find the static schedule of least distance within the trials of all phases.

    The schedule that it starts from, mostly the hand-made one, is the first trial, so by the
    search's own samples the result is never worse. A killed search resumes by replaying the trials
    of its checkpoint.

    Args:
        phases: what is tried, in order.
        distance: the distance of a schedule's samples, which is minimised.
        settings: the seed, and what the checkpoint is bound to.
        name: names the search in progress bar, messages and checkpoint.
        checkpoint: file of the resumable state; None to keep none.
        processes: evaluate each trial together; the first one writes the checkpoint.
        known: the first trials, of a search that begins alike; they are not tried again.
        inputs: what else the checkpoint is bound to; plain values.

    Returns:
        The best schedule and all trials, in order.
    """
    trials: list[Trial] = []
    if checkpoint is not None and processes.first:
        state = load_checkpoint(checkpoint, name, settings=settings, inputs=inputs) or {}
        trials = state.get("trials", [])
    trials = trials or [*known]
    trials = processes.broadcast(trials)
    done = iter(list(trials))
    total = sum(phase.evaluations for phase in phases)
    bar = progress(None, name, total=total, done=len(trials))
    best: Schedule | None = None
    least = math.inf

    def evaluate(space: Space, x: Parameters) -> float:
        nonlocal best, least
        if (known := next(done, None)) is not None:
            value = known["fid"]
        else:
            # All processes must see the same number to the last bit, or their searches diverge.
            value = processes.broadcast(float(distance(space.schedule(x))))
            trials.append({"evaluation": len(trials) + 1, "fid": value, **space.log_columns(x)})
            bar.set_postfix(best=f"{min(trial['fid'] for trial in trials):.3f}", refresh=False)
            bar.update()
            if checkpoint is not None and processes.first:
                state = {"trials": trials}
                save_checkpoint(checkpoint, name, settings=settings, state=state, inputs=inputs)
        if best is None or value < least:
            best, least = space.schedule(x), value
        return value

    random = np.random.default_rng(settings.seed)
    options = {
        "verbose": -9,
        "seed": np.nan,  # leave numpy's global state alone
        "randn": lambda *shape: random.standard_normal(shape),
    }
    with bar:
        for phase in phases:
            space = phase.space(best)
            used = 0
            if best is None:
                evaluate(space, np.zeros(space.size))
                used = 1
            else:  # the same schedule, of the kind that this phase makes
                best = space.schedule(np.zeros(space.size))
            if used == phase.evaluations:
                continue
            strategy = cma.CMAEvolutionStrategy(np.zeros(space.size), phase.spread, options)
            while used < phase.evaluations:
                candidates = strategy.ask()
                if used + len(candidates) > phase.evaluations:
                    for x in candidates[: phase.evaluations - used]:
                        evaluate(space, x)
                    break
                strategy.tell(candidates, [evaluate(space, x) for x in candidates])
                used += len(candidates)
    assert best is not None  # a search has one trial at least
    return best, trials
