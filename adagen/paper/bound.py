"""Tables and figures are made of what this configuration makes: inputs are compared with it.

Beside the CSV of a table lies `<table>.settings.json`, the settings that its rows depend on. A
figure that is drawn from the table compares them, and says itself what it was drawn from
(`adagen.paper.drawn`).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adagen.config import Config
from adagen.config.bindings import Binding, of_diagnosis, of_judgement, of_metrics
from adagen.config.runs import Run
from adagen.data.bound import (
    alignment_of,
    open_configured,
    require_configured,
    require_experiment,
    require_policy,
    require_settings,
)
from adagen.paper.catalogue import TableSpec, settings_beside
from adagen.paper.dial import read_judgement
from adagen.paper.drawn import Drawn, Of, describe, require_drawn
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
    bind_table(csv, runs, config=config, judged=opinions, latex=latex)


def make_figure(
    kind: str, inputs: Sequence[Path], *, config: Config, files: Sequence[Path] = ()
) -> "Figure":
    """Draw a figure of files that the configuration makes, and write it with what it shows.

    Args:
        kind: which figure.
        inputs: what it is drawn from.
        config: the configuration whose figure it is.
        files: files to write, .pdf or .png.

    Raises:
        AdagenError: as `draw`; or a file was made with other settings than the configuration's.
    """
    require_kind(kind)
    shown = [drawn for path in inputs for drawn in _require_input(kind, path, config=config)]
    figure = draw(kind, inputs)
    if files:
        from adagen.paper.figures.style import save_figure

        save_figure(figure, *files, drawn=describe(shown, config))
    return figure


def _require_input(kind: str, path: Path, *, config: Config) -> list[Drawn]:
    """Refuse a file that a figure is drawn from, if it was made with other settings."""
    spec = FIGURES.get(kind)
    if kind == "reward":
        return [Drawn("diagnosis", _require_report(path, config))]
    if spec and spec.tables and (path.suffix == ".csv" or not spec.runs):
        return require_table(path, config)
    if spec is None or spec.artefact == "samples":
        return [Drawn("samples", open_configured(path, config).run)]
    if spec.artefact == "metrics":
        return [Drawn("metrics", run) for run in require_metrics([path], config)]
    return [Drawn("policy", _require_log(path, config))]


def _require_report(path: Path, config: Config) -> Run:
    """Refuse a report of `adagen diagnose reward` on other settings; else, the run it is of."""
    from adagen.paper.figures.reward import read_report  # and matplotlib

    report = read_report(path)
    require_experiment(path, report.experiment, config=config)
    expected = of_diagnosis(config, report.experiment)
    remedy = "Run `adagen diagnose reward` again, or give the configuration that it was run with."
    require_settings(path, report.settings, expected=expected, remedy=remedy)
    return Run(report.experiment, "adagen")


def _require_log(path: Path, config: Config) -> Run:
    """Refuse the log of a training or search unless the policy beside it is of these settings.

    Returns:
        The run of the policy.
    """
    policy, experiment = path.with_suffix(".safetensors"), experiment_of(path)
    require_experiment(path, experiment, config=config)
    if not policy.exists():
        raise AdagenError(
            f"{path} has no {policy.name} beside it, the policy, which says with what settings it "
            "was made: keep the log where `adagen train` or `adagen sweep` wrote the two."
        )
    metadata = load_metadata(policy, "policy")
    require_policy(path, metadata, config=config, experiment=experiment)
    run = Run(experiment, metadata["method"], metadata["training_seed"])
    if run.name != path.stem:
        raise AdagenError(
            f"{path} is named otherwise than {run.name}, the run of the policy beside it: keep the "
            "two as `adagen train` or `adagen sweep` wrote them."
        )
    return run


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
    csv: Path,
    runs: Sequence[Run],
    *,
    config: Config,
    judged: Iterable[tuple[Run, str]] = (),
    latex: Path | None = None,
    prompted: Sequence[Run] = (),
) -> None:
    """Write the settings of all that a table is made of beside it.

    Args:
        csv: the table.
        runs: the runs whose metrics it shows.
        config: the configuration.
        judged: runs that were judged, each with the experiment whose reward judged it.
        latex: the same table for LaTeX.
        prompted: the runs whose alignment with prompts it shows.
    """
    rows = [{**vars(run), "settings": of_metrics(config, run)} for run in runs]
    opinions = [
        {**vars(run), "by": by, "settings": of_judgement(config, run, experiment=by)}
        for run, by in judged
    ]
    content = {"csv": file_hash(csv), "runs": rows, "judged": opinions}
    if prompted:
        scores = [{**vars(run), "settings": alignment_of(config, run)} for run in prompted]
        content["aligned"] = scores
    if latex is not None:
        content["latex"] = file_hash(latex)
    write_record(settings_beside(csv), content)


def require_shown(path: Path, config: Config) -> None:
    """Refuse a table or picture that this configuration would make with other settings.

    Raises:
        AdagenError: it says nothing of its settings, a table was changed since, or one differs.
    """
    if path.suffix == ".csv":
        require_table(path, config)
    elif path.suffix == ".tex":
        require_table(path.with_suffix(".csv"), config, latex=path)
    elif path.suffix in (".pdf", ".png"):
        require_drawn(path, config)


def require_table(csv: Path, config: Config, *, latex: Path | None = None) -> list[Drawn]:
    """Refuse a table that this configuration would make with other settings.

    Args:
        csv: the table.
        config: the configuration.
        latex: the same table for LaTeX, which must be the one that was written with it.

    Returns:
        What the table is made of.

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
    for key, path in (("csv", csv), ("latex", latex)):
        if path and content.get(key) != file_hash(path):
            raise AdagenError(f"{path} is not the table that {beside.name} describes. {again}")
    shown = []
    of_runs: tuple[tuple[Of, str, Callable[[Config, Run], Binding]], ...] = (
        ("metrics", "runs", of_metrics),
        ("alignment", "aligned", alignment_of),
    )
    for of, key, expected in of_runs:
        for row in content.get(key, []):
            made_with = row.pop("settings")
            run = Run(**row)
            require_configured(csv, made_with, run=run, config=config, expected=expected)
            shown.append(Drawn(of, run))
    for row in content.get("judged", []):  # older tables don't say it
        made_with, by = row.pop("settings"), row.pop("by")
        run = Run(**row)
        require_experiment(csv, by, config=config)
        judged = partial(of_judgement, experiment=by)
        require_configured(csv, made_with, run=run, config=config, expected=judged)
        shown.append(Drawn("judgement", run, by))
    return shown
