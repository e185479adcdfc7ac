"""Tables and figures are made of what this configuration makes: inputs are compared with it.

Beside the CSV of a table lies `<table>.settings.json`, the settings that its rows depend on. A
figure that is drawn from the table compares them.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adagen.config import Config
from adagen.config.bindings import of_diagnosis, of_judgement, of_metrics, of_policy
from adagen.config.runs import Run
from adagen.data.bound import (
    MADE_WITH,
    open_configured,
    require_configured,
    require_experiment,
    require_settings,
)
from adagen.paper.catalogue import TableSpec, settings_beside
from adagen.paper.dial import read_judgement
from adagen.paper.figures import FIGURES, draw, require_kind
from adagen.paper.inputs import experiment_of
from adagen.paper.metrics import read_metrics
from adagen.paper.tables import build_table, write_table
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_metadata
from adagen.runtime.hashing import file_hash
from adagen.runtime.records import read_record, write_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def make_table(
    spec: TableSpec,
    metrics: Sequence[Path],
    *,
    config: Config,
    judged: Sequence[Path] = (),
    csv: Path,
    latex: Path,
) -> None:
    """Write a table of the catalogue as CSV and LaTeX, and the settings of its rows beside it.

    Args:
        spec: which table.
        metrics: metrics files.
        config: the configuration whose table it is.
        judged: files of `adagen judge`, for tables of a dial.
        csv: file to write.
        latex: file to write.

    Raises:
        AdagenError: the files are not what this table is made from, or were made with other
            settings than the configuration's.
    """
    runs = require_metrics(metrics, config)
    opinions = require_judged(judged, config)
    table = build_table(spec, metrics, config=config, judged=judged)
    write_table(spec, table, csv=csv, latex=latex)
    bind_table(csv, runs, config=config, judged=opinions)


def make_figure(kind: str, inputs: Sequence[Path], *, config: Config) -> "Figure":
    """Draw a figure of files that the configuration makes.

    Raises:
        AdagenError: as `draw`; or a file was made with other settings than the configuration's.
    """
    require_kind(kind)
    for path in inputs:
        _require_input(kind, path, config=config)
    return draw(kind, inputs)


def _require_input(kind: str, path: Path, *, config: Config) -> None:
    """Refuse a file that a figure is drawn from, if it was made with other settings."""
    spec = FIGURES.get(kind)
    if kind == "reward":
        _require_report(path, config)
    elif spec and spec.tables and (path.suffix == ".csv" or not spec.runs):
        require_table(path, config)
    elif spec is None or spec.artefact == "samples":
        open_configured(path, config)
    elif spec.artefact == "metrics":
        require_metrics([path], config)
    else:
        _require_log(path, config)


def _require_report(path: Path, config: Config) -> None:
    """Refuse a report of `adagen diagnose reward` on other settings."""
    from adagen.paper.figures.reward import read_report  # and matplotlib

    report = read_report(path)
    require_experiment(path, report.experiment, config=config)
    expected = of_diagnosis(config, report.experiment)
    remedy = "Run `adagen diagnose reward` again, or give the configuration that it was run with."
    require_settings(path, report.settings, expected=expected, remedy=remedy)


def _require_log(path: Path, config: Config) -> None:
    """Refuse the log of a training or search unless the policy beside it is of these settings."""
    policy, experiment = path.with_suffix(".safetensors"), experiment_of(path)
    require_experiment(path, experiment, config=config)
    remedy = "Give the configuration that it was made with, or train or search again."
    if not policy.exists():
        raise AdagenError(
            f"{path} has no {policy.name} beside it, the policy, which says with what settings it "
            "was made: keep the log where `adagen train` or `adagen sweep` wrote the two."
        )
    metadata = load_metadata(policy, "policy")
    expected = of_policy(config, experiment, method=metadata["method"])
    # Older policies don't say it.
    found = metadata.get(MADE_WITH, expected)
    require_settings(path, found, expected=expected, remedy=remedy)


def require_metrics(paths: Iterable[Path], config: Config) -> list[Run]:
    """Refuse metrics that this configuration would make with other settings; else, their runs.

    Raises:
        AdagenError: a file is missing, changed or something else, or a setting differs.
    """
    runs = []
    for path in paths:
        read = read_metrics(path)
        (found,) = read.settings
        require_configured(path, found, run=read.run, config=config, expected=of_metrics)
        runs.append(read.run)
    return runs


def require_judged(paths: Iterable[Path], config: Config) -> list[tuple[Run, str]]:
    """Refuse judgements of samples, or by rewards, of other settings.

    Returns:
        The runs that were judged, each with the experiment whose reward judged it.

    Raises:
        AdagenError: a file is missing, changed or something else, or a setting differs.
    """
    judged = []
    for path in paths:
        read = read_judgement(path)
        for one in read.runs:
            expected = partial(of_judgement, experiment=read.experiment)
            require_configured(path, one.settings, run=one.run, config=config, expected=expected)
            judged.append((one.run, read.experiment))
    return judged


def bind_table(
    csv: Path, runs: Sequence[Run], *, config: Config, judged: Iterable[tuple[Run, str]] = ()
) -> None:
    """Write the settings of the runs that a table is made of, and of judgements, beside it."""
    rows = [{**vars(run), "settings": of_metrics(config, run)} for run in runs]
    opinions = [
        {**vars(run), "by": by, "settings": of_judgement(config, run, experiment=by)}
        for run, by in judged
    ]
    content = {"csv": file_hash(csv), "runs": rows, "judged": opinions}
    write_record(settings_beside(csv), content)


def require_table(csv: Path, config: Config) -> None:
    """Refuse a table that this configuration would make with other settings.

    Raises:
        AdagenError: it has no settings beside it, was changed since, or a setting differs.
    """
    again = "Run `adagen table` again, or ask Snakemake for the table with `--force`."
    if not csv.exists():
        raise AdagenError(f"{csv} does not exist. Run `adagen table` first.")
    beside = settings_beside(csv)
    if not beside.exists():
        raise AdagenError(
            f"{csv} has no {beside.name} beside it, which says with what settings the table was "
            f"made: it is of an older version of adagen, or was moved alone. {again}"
        )
    content = read_record(beside, remedy=again)
    if content["csv"] != file_hash(csv):
        raise AdagenError(f"{csv} is not the table that {beside.name} describes. {again}")
    for row in content["runs"]:
        made_with = row.pop("settings")
        require_configured(csv, made_with, run=Run(**row), config=config, expected=of_metrics)
    for row in content.get("judged", []):  # older tables don't say it
        made_with, by = row.pop("settings"), row.pop("by")
        require_experiment(csv, by, config=config)
        expected = partial(of_judgement, experiment=by)
        require_configured(csv, made_with, run=Run(**row), config=config, expected=expected)
