"""What is drawn, from which files, where it goes, and how the report and the paper's page show it."""

import json
import shlex

from adagen.paper.names import METHOD_NAMES, PAIRS, PARADIGM_NAMES

# Methods that are compared with another of their experiment.
COMPARED = {
    method
    for experiment in CONFIG.experiments
    for pair in PAIRS
    if set(pair) <= set(CONFIG.methods_of(experiment))
    for method in pair
}

# The inputs of each kind of figure. A kind of which the configuration has no run is left out.
FIGURES = {
    "samples": expand_runs(SAMPLES, reported_runs(CONFIG)),
    "schedule": expand_runs(SAMPLES, reported_runs(CONFIG)),
    "fid": expand_runs(METRICS, reported_runs(CONFIG)),
    "comparisons": expand_runs(METRICS, reported_runs(CONFIG, COMPARED)),
    "training": expand_runs(
        "<results>/{experiment}/policy/{run}.jsonl", reported_runs(CONFIG, LEARNED)
    ),
    "sweep": expand_runs(
        "<results>/{experiment}/policy/{run}.csv", reported_runs(CONFIG, SEARCHED)
    ),
}
FIGURES = {figure: inputs for figure, inputs in FIGURES.items() if inputs}

# Samples that are deleted once they are used are drawn for each experiment by itself: one figure of
# all would need all of them at once, a terabyte.
OF_EACH = {"samples", "schedule"} if SCALE == "released" else set()


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


# Categories of the report.
SHOWN_UNDER = {figure: "Results" for figure in FIGURES}
SHOWN_UNDER |= {"training": "Training and search", "sweep": "Training and search"}


# Samples by themselves of two runs of an experiment, between which the report changes in place: of the
# hand-made schedule, and of the learned one with the lowest training seed, or else the released one.
GRIDS = [
    f"<results>/{run.experiment}/figures/grid_{run.name}.{suffix}"
    for experiment in CONFIG.experiments
    for handmade in plain_runs(CONFIG, experiment, methods=["handmade"])
    for learned in (
        plain_runs(CONFIG, experiment, methods=["adagen"])
        or plain_runs(CONFIG, experiment, methods=["released"])
    )[:1]
    for run in (handmade, learned)
    for suffix in ("pdf", "png")
]

# Everything that `snakemake paper` makes; each file of rules adds its own.
PAPER = []


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


def run_in_print(run):
    """`AdaGen, seed 0 + best4` of `adagen_seed0+best4`."""
    name = METHOD_NAMES[run.method] if run.fidelity is None else f"λ = {run.fidelity:g}"
    seed = "" if run.seed is None else f", seed {run.seed}"
    return f"{name}{seed}{' + ' if run.refinement else ''}{run.refinement}"


def grid_labels(wildcards):
    return {"experiment": wildcards.experiment, "method": METHOD_NAMES[run_of(wildcards).method]}


def captions_folder(wildcards, input):
    return Path(input.captions[0]).parent


def run_options(wildcards):
    """What tells Snakemake of this configuration, on its command line."""
    options = []
    if workflow.overwrite_configfiles:
        files = [os.path.relpath(file) for file in workflow.overwrite_configfiles]
        options += ["--configfile", *files]
    if keys := workflow.config_settings.config:
        options += ["--config", *(f"{key}={json.dumps(value)}" for key, value in keys.items())]
    return shlex.join(options)
