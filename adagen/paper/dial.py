"""The tables of both dials: from `adagen` to `faithful`, and along the guidance scale."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from adagen.config import Config, Method
from adagen.config.bindings import Binding
from adagen.config.runs import Run
from adagen.paper.catalogue import TABLES
from adagen.paper.columns import FIDELITY_COLUMNS, GUIDANCE_COLUMNS
from adagen.paper.metrics import (
    Count,
    Finite,
    Integer,
    MadeFrom,
    Metrics,
    MetricsModel,
    Share,
    read_comparable,
)
from adagen.paper.statistics import averages
from adagen.paper.tables import frame, read_table
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import difference
from adagen.runtime.records import read_record

ENDS: Mapping[str, float] = {"adagen": 0.0, "faithful": 1.0}
"""The two policies, by where they stand on the dial."""


class Judged(MetricsModel):
    """Mean judgements by `adagen judge` on the samples of a run, those of one sampling seed.

    `preference` is the mean of the pre-trained reward, `reward` that of the training's own; None
    where that one judges sets of images.
    """

    experiment: str
    method: Method
    training_seed: Integer | None
    fidelity: Share | None
    samples: Count
    seed: Integer
    preference: Finite
    reward: Finite | None
    hashes: MadeFrom
    settings: Binding

    @property
    def run(self) -> Run:
        """The run that was judged."""
        return Run(self.experiment, self.method, self.training_seed, fidelity=self.fidelity)


class Judgement(MetricsModel):
    """A file of `adagen judge`, by the rewards of an experiment's training."""

    experiment: str
    runs: tuple[Judged, ...]


Judgements = Mapping[Run, Sequence[Judged]]
"""The judgements of each run, one from every file."""


def fidelity_table(metrics: Sequence[Path], judged: Sequence[Path]) -> pd.DataFrame:
    """One row for each point of the dial of each experiment.

    - `fidelity` is lambda: at 0 stands the method `adagen`, at 1 `faithful`, between them blends.
    - Scores and `fid_se` are as in `adagen.paper.statistics.averages`; `training_seeds` says how
      many trainings there are.
    - `preference` is the mean of the pre-trained reward over the images of the first sampling seed.
      `reward` is that of the score by the reward which trained the `adagen` of the same training
      seed, as it was when the policy was kept: a discriminator's logit. Both are empty (NaN) where
      the samples were not judged, and `reward` where the reward judges sets.

    Args:
        metrics: metrics files of these runs; others of methods without a place on the dial, and of
            refined runs, are left out.
        judged: files of `adagen judge`.

    Returns:
        Columns as in `FIDELITY_COLUMNS`; experiments in the order of their first file, each by
        `fidelity`.

    Raises:
        AdagenError: no file is that of a run on the dial; files can't be compared (as for
            `read_comparable`); or one of `judged` is something else, or of other samples.
    """
    points: dict[str, dict[float, list[Metrics]]] = {}
    for run in read_comparable(metrics):
        if run.method in ENDS and not run.refined:
            point = ENDS[run.method] if run.fidelity is None else run.fidelity
            points.setdefault(run.experiment, {}).setdefault(point, []).append(run)
    if not points:
        raise AdagenError(
            "none of the metrics files is that of a run on the dial: give those of `adagen`, of "
            "`faithful`, or of samples drawn with --fidelity."
        )
    judgements = _read_judged(judged)
    rows = [
        {**_row(runs, judgements), "fidelity": point}
        for by_point in points.values()
        for point, runs in sorted(by_point.items())
    ]
    return frame(rows, FIDELITY_COLUMNS)


def guidance_table(
    metrics: Sequence[Path], config: Config, *, judged: Sequence[Path]
) -> pd.DataFrame:
    """One row for each guidance scale of each experiment of `curves.guidance`.

    Args:
        metrics: metrics files of the hand-made schedule at all scales, at least.
        config: says which scales there are.
        judged: files of `adagen judge`; the table has the mean of several training seeds.

    Returns:
        Columns as in `GUIDANCE_COLUMNS`: `derived` is the name that the experiment has at this
        scale; the others are as in `fidelity_table`.

    Raises:
        AdagenError: the config has no such curve, or the metrics of a scale are missing; else as
            `fidelity_table`.
    """
    runs = {run.run: run for run in read_comparable(metrics)}
    judgements, rows = _read_judged(judged), []
    for experiment in config.experiments:
        for scale, (derived, _) in config.guidance_of(experiment).items():
            if (run := runs.get(Run(derived, "handmade"))) is None:
                raise AdagenError(
                    f"no file holds the metrics of {derived}, handmade, which is {experiment} at "
                    f"guidance {scale:g}. Evaluate it, or ask Snakemake for the target `guidance`."
                )
            point = {"experiment": experiment, "guidance": scale, "derived": derived}
            rows.append({**_row([run], judgements), **point})
    if not rows:
        raise AdagenError("the config has no `curves.guidance`: say which scales are compared.")
    return frame(rows, GUIDANCE_COLUMNS)


def _row(runs: Sequence[Metrics], judgements: Judgements) -> dict[str, Any]:
    """The columns of a point that both tables have, averaged over its training seeds."""
    return {
        **runs[0].model_dump(include={"experiment", "paradigm", "steps", "protocol"}),
        "training_seeds": sum(run.training_seed is not None for run in runs),
        **averages(runs, FIDELITY_COLUMNS),
        **_opinions(runs, judgements),
    }


def _opinions(runs: Sequence[Metrics], judgements: Judgements) -> dict[str, float]:
    """Mean preference and mean reward over runs; NaN unless all of them were judged by it."""
    means: dict[str, list[float]] = {"preference": [], "reward": []}
    for run in runs:
        judged = judgements.get(run.run, [])
        for judgement in judged:
            if judgement.seed not in run.seeds or judgement.samples != run.samples:
                raise AdagenError(
                    f"the samples of {run.experiment}, {run.method} that were judged are of "
                    "another seed, or count, than those that were measured: judge them again."
                )
            measured = MadeFrom(**run.hashes.model_dump(exclude={"reference"}))
            if differs := difference(judgement.hashes.model_dump(), measured.model_dump()):
                raise AdagenError(
                    f"the samples of {run.experiment}, {run.method} that were judged were made "
                    f"from other files than those that were measured: the hash of {differs}. "
                    "Judge or evaluate again."
                )
        for name, of_runs in means.items():
            values = [getattr(judgement, name) for judgement in judged]
            known = values and None not in values
            of_runs.append(float(np.mean(values)) if known else np.nan)
    return {name: float(np.mean(of_runs)) for name, of_runs in means.items()}


def read_judgement(path: Path) -> Judgement:
    """Read a file of `adagen judge`.

    Raises:
        AdagenError: the file is missing, changed or something else.
    """
    content = read_record(path, remedy="Run `adagen judge` again.")
    try:
        return Judgement.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise AdagenError(
            f"{path} is no file of `adagen judge` of this version (key {key!r}: {first['msg']}): "
            "run it again, or check the path."
        ) from None


def _read_judged(files: Sequence[Path]) -> Judgements:
    """Read the judgements of each run.

    Raises:
        AdagenError: as `read_judgement`.
    """
    judgements: dict[Run, list[Judged]] = {}
    for path in files:
        for judged in read_judgement(path).runs:
            judgements.setdefault(judged.run, []).append(judged)
    return judgements


def read_dial(path: Path) -> pd.DataFrame:
    """Read the CSV file that `adagen table fidelity` or `adagen table guidance` wrote.

    Raises:
        AdagenError: the file is missing, or another kind of table.
    """
    return read_table(path, TABLES["fidelity"], TABLES["guidance"])
