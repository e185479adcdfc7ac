"""Tables and figures as files: where they go, and how the report and the paper's page show them."""

import json
import shlex

from adagen.paper.catalogue import CATEGORIES, tables_of
from adagen.paper.figures import figures_of, grid_runs
from adagen.paper.names import METHOD_NAMES, PARADIGM_NAMES, run_in_print

TABLES = {table.name: table for table in tables_of(CONFIG)}
FIGURES = {figure.name: figure for figure in figures_of(CONFIG)}
# What is drawn of a run.
ARTEFACTS = {
    "metrics": METRICS,
    "samples": SAMPLES,
    "log": "<results>/{experiment}/policy/{run}.jsonl",
    "search": "<results>/{experiment}/policy/{run}.csv",
}
# Samples that are deleted once they are used are drawn for each experiment by itself: one figure of
# all would need all of them at once, a terabyte.
OF_EACH = (
    {figure.name for figure in FIGURES.values() if figure.by_experiment}
    if SCALE == "released"
    else set()
)


def table_files(table):
    return [f"<results>/tables/{table}.{suffix}" for suffix in ("csv", "tex")]


def tables_drawn(figure):
    """The tables that a figure is drawn from, as far as there are any."""
    drawn = [table for table in (*figure.tables, *figure.beside) if table in TABLES]
    return expand("<results>/tables/{table}.csv", table=drawn)


def runs_drawn(figure):
    """What a figure is drawn from besides tables."""
    if figure.name in OF_EACH:
        return samples_of
    return expand_runs(ARTEFACTS[figure.artefact], figure.runs(CONFIG)) if figure.runs else []


def runs_behind(shown):
    """The runs behind the numbers of a table, or of a figure that is not of samples."""
    drawn = shown.runs and getattr(shown, "artefact", "metrics") != "samples"
    return shown.runs(CONFIG) if drawn else []


def policies_behind(shown):
    return expand_runs(POLICY, policies_of(runs_behind(shown)))


def lost_behind(shown):
    """The policies that aren't there, though the metrics of their runs are.

    As a parameter it makes a table again, and so the policies behind it: a training that was killed
    leaves neither the old policy nor a new one.
    """
    measured = [run for run in runs_behind(shown) if is_there(METRICS, run)]
    return [run.name for run in policies_of(measured) if not is_there(POLICY, run)]


def is_there(pattern, run):
    (path,) = expand_runs(pattern.replace("<results>", CONFIG.results), [run])
    return Path(path).exists()


def figure_file(figure, suffix):
    folder = "<results>/{experiment}/figures" if figure in OF_EACH else "<results>/figures"
    return f"{folder}/{figure}.{suffix}"


def figure_labels(figure):
    return {"experiment": "{experiment}"} if figure in OF_EACH else {}


def figure_files(figure):
    """Both formats, of every experiment where it is drawn for each."""
    return [
        path
        for suffix in ("pdf", "png")
        for path in expand(figure_file(figure, suffix), experiment=CONFIG.experiments)
    ]


def shown_under(category):
    """The tables and figures of a category, but for samples by themselves."""
    tables = [table.name for table in TABLES.values() if table.category == category]
    figures = [figure.name for figure in FIGURES.values() if figure.category == category]
    return [*flatten(map(table_files, tables)), *flatten(map(figure_files, figures))]


# Samples by themselves, between which the report changes in place.
GRIDS = [
    f"<results>/{run.experiment}/figures/grid_{run.name}.{suffix}"
    for run in grid_runs(CONFIG)
    for suffix in ("pdf", "png")
]
# All that is shown; "Samples" are those of single runs.
SHOWN = {category: shown_under(category) for category in CATEGORIES}
SHOWN["Samples"] = GRIDS
if CONFIG.evaluation.alignment:
    SHOWN["Results"] += [*table_files("alignment"), *figure_files("prompts")]


def shown(path, category, caption=None, **labels):
    """A table or figure, as an output that the report shows: in a category, with its caption.

    The report makes a switch of a label that has two values equally often, as `for` has.
    """
    name, suffix = Path(path).stem, Path(path).suffix
    kind = "figure" if suffix in (".pdf", ".png") else "table"
    medium = "screen" if suffix in (".csv", ".png") else "typesetting"
    return report(
        ensure(path, non_empty=True),
        caption=f"../report/{caption or name}.rst",
        category=category,
        labels={"what": f"{name}, {kind}", **labels, "for": medium},
    )


def paradigm_of(wildcards):
    """The family of an experiment, in print."""
    paradigm = CONFIG.generators[EXPERIMENTS[wildcards.experiment].generator].paradigm
    return PARADIGM_NAMES.get(paradigm, paradigm)


def grid_labels(wildcards):
    return {"experiment": wildcards.experiment, "method": METHOD_NAMES[run_of(wildcards).method]}


def captions_folder(wildcards, input):
    return Path(input.captions[0]).parent


def run_options(wildcards):
    """Options of Snakemake that select this configuration."""
    options = []
    if workflow.overwrite_configfiles:
        files = [os.path.relpath(file) for file in workflow.overwrite_configfiles]
        options += ["--configfile", *files]
    if keys := workflow.config_settings.config:
        options += ["--config", *(f"{key}={json.dumps(value)}" for key, value in keys.items())]
    return shlex.join(options)
