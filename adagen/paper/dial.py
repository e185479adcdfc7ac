"""The tables of both dials: from `adagen` to `faithful`, and along the guidance scale."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from adagen.config import Config
from adagen.paper.inputs import Finite, Metrics, MetricsModel
from adagen.paper.tables import independent, mean_and_error, read_along_dial
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import read_json

ENDS = {"adagen": 0.0, "faithful": 1.0}
"""The two policies, by where they stand on the dial."""
SCORES = (
    "training_seeds",
    "fid",
    "fid_se",
    "fid_label_free",
    "precision",
    "recall",
    "preference",
    "reward",
    "protocol",
)
FIDELITY_COLUMNS = ("experiment", "paradigm", "steps", "fidelity", *SCORES)
GUIDANCE_COLUMNS = ("experiment", "paradigm", "steps", "guidance", "derived", *SCORES)

Identity = tuple[str, str, int | None, float | None]
"""Experiment, method, training seed, fidelity of a blend."""


class Judged(MetricsModel):
    """A run, and what was said of the samples of one seed; nothing by a reward that judges sets."""

    experiment: str
    method: str
    training_seed: int | None
    fidelity: Finite | None
    samples: int
    seed: int
    preference: Finite
    reward: Finite | None


class Judgement(MetricsModel):
    """A file of `adagen judge`."""

    runs: tuple[Judged, ...]


def fidelity_table(metrics: Sequence[Path], judged: Sequence[Path]) -> pd.DataFrame:
    """One row for each point of the dial of each experiment.

    - `fidelity` is lambda: at 0 stands the method `adagen`, at 1 `faithful`, between them blends.
    - Scores are means over sampling seeds, and over training seeds where there are several
      (`training_seeds`); `fid_se` is as in `adagen.paper.ablation.ablation_table`.
    - `preference` is the mean of the pre-trained reward over the images of the first sampling seed.
      `reward` is that of the score by the reward which trained the `adagen` of the same training
      seed, as it was when the policy was kept: a discriminator's logit. Both are empty (NaN) where
      nobody judged, and `reward` where the reward judges sets.

    Args:
        metrics: metrics files of these runs; others of methods without a place on the dial, and of
            refined runs, are left out.
        judged: files of `adagen judge`.

    Returns:
        Columns as in `FIDELITY_COLUMNS`; experiments in the order of their first file, each by
        `fidelity`.

    Raises:
        AdagenError: no file is that of a run on the dial; files can't be compared (as for
            `fid_table`); or one of `judged` is something else, or of other samples.
    """
    points: dict[str, dict[float, list[Metrics]]] = {}
    for run in read_along_dial(metrics):
        if run.method in ENDS and not run.refined:
            place = ENDS[run.method] if run.fidelity is None else run.fidelity
            points.setdefault(run.experiment, {}).setdefault(place, []).append(run)
    if not points:
        raise AdagenError(
            "none of the metrics files is that of a run on the dial: give those of `adagen`, of "
            "`faithful`, or of samples drawn with --fidelity."
        )
    said = _read_judged(judged)
    rows = [
        {**_row(runs, said), "fidelity": place}
        for by_place in points.values()
        for place, runs in sorted(by_place.items())
    ]
    return pd.DataFrame(rows, columns=[*FIDELITY_COLUMNS])


def guidance_table(
    config: Config, metrics: Sequence[Path], *, judged: Sequence[Path]
) -> pd.DataFrame:
    """One row for each guidance scale of each experiment of `curves.guidance`.

    Args:
        config: says which scales there are.
        metrics: metrics files of the hand-made schedule at all of them, at least.
        judged: files of `adagen judge`; of several training seeds, their mean is told.

    Returns:
        Columns as in `GUIDANCE_COLUMNS`: `derived` is the name that the experiment has at this
        scale; the others are as in `fidelity_table`.

    Raises:
        AdagenError: the config has no such curve, or the metrics of a scale are missing; else as
            `fidelity_table`.
    """
    runs = {(run.experiment, run.method): run for run in read_along_dial(metrics)}
    said, rows = _read_judged(judged), []
    for experiment in config.experiments:
        for scale, (derived, _) in config.guidance_of(experiment).items():
            if (run := runs.get((derived, "handmade"))) is None:
                raise AdagenError(
                    f"no file holds the metrics of {derived}, handmade, which is {experiment} at "
                    f"guidance {scale:g}. Evaluate it, or ask Snakemake for the target `guidance`."
                )
            own = {"experiment": experiment, "guidance": scale, "derived": derived}
            rows.append({**_row([run], said), **own})
    if not rows:
        raise AdagenError("the config has no `curves.guidance`: say which scales are compared.")
    return pd.DataFrame(rows, columns=[*GUIDANCE_COLUMNS])


def _row(runs: Sequence[Metrics], said: Mapping[Identity, Sequence[Judged]]) -> dict[str, Any]:
    """What both tables tell of a point, over its training seeds."""
    first, scores = runs[0], {}
    for name in ("fid", "fid_label_free", "precision", "recall"):
        scores[name] = np.stack([run.scores(name) for run in runs])
    return {
        **first.model_dump(include={"experiment", "paradigm", "steps", "protocol"}),
        "training_seeds": sum(run.training_seed is not None for run in runs),
        **{name: float(values.mean()) for name, values in scores.items()},
        "fid_se": mean_and_error(independent(scores["fid"]))[1],
        **_opinions(runs, said),
    }


def _opinions(
    runs: Sequence[Metrics], said: Mapping[Identity, Sequence[Judged]]
) -> dict[str, float]:
    """What the judges say on the average; NaN unless they have seen all runs."""
    means: dict[str, list[float]] = {"preference": [], "reward": []}
    for run in runs:
        judged = said.get((run.experiment, run.method, run.training_seed, run.fidelity), [])
        for one in judged:
            if one.seed not in run.seeds or one.samples != run.samples:
                raise AdagenError(
                    f"the samples of {run.experiment}, {run.method} that were judged are of "
                    "another seed, or count, than those that were measured: judge them again."
                )
        for name, of_runs in means.items():
            values = [getattr(one, name) for one in judged]
            known = values and None not in values
            of_runs.append(float(np.mean(values)) if known else np.nan)
    return {name: float(np.mean(of_runs)) for name, of_runs in means.items()}


def _read_judged(files: Sequence[Path]) -> dict[Identity, list[Judged]]:
    """What was said of each run, by every judge.

    Raises:
        AdagenError: a file is missing or something else.
    """
    said: dict[Identity, list[Judged]] = {}
    for path in files:
        try:
            runs = Judgement.model_validate(read_json(path)).runs
        except ValidationError as error:
            raise AdagenError(
                f"{path} is no file of `adagen judge` ({error.errors()[0]['msg']}): run it again, "
                "or check the path."
            ) from None
        for run in runs:
            key = run.experiment, run.method, run.training_seed, run.fidelity
            said.setdefault(key, []).append(run)
    return said


def read_dial(path: Path) -> pd.DataFrame:
    """Read the CSV file that `adagen fidelity` or `adagen guidance` wrote.

    Raises:
        AdagenError: the file is missing, or another kind of table.
    """
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise AdagenError(
            f"{path} does not exist. Run `adagen fidelity` or `adagen guidance`."
        ) from None
    except ValueError:  # an empty or ragged file: pandas' parser errors are ValueErrors
        table = pd.DataFrame()
    if table.empty or tuple(table.columns) not in (FIDELITY_COLUMNS, GUIDANCE_COLUMNS):
        raise AdagenError(
            f"{path} is no table of a dial: its columns are other ones. Give the CSV file that "
            "`adagen fidelity` or `adagen guidance` wrote."
        )
    return table
