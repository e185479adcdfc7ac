"""What is drawn, from which files, and where it goes."""

from adagen.paper.names import PAIRS

# Methods that are compared with another of their experiment.
COMPARED = {
    method
    for experiment in CONFIG.experiments
    for pair in PAIRS
    if all(runs_of(experiment, method) for method in pair)
    for method in pair
}

# The inputs of each kind of figure. A kind of which the configuration has no run is left out.
FIGURES = {
    "samples": of_runs(SAMPLES, *METHODS),
    "schedule": of_runs(SAMPLES, *METHODS),
    "fid": of_runs(METRICS, *METHODS),
    "comparisons": of_runs(METRICS, *COMPARED),
    "training": of_runs("<results>/{experiment}/policy/{run}.jsonl", *LEARNED),
    "sweep": of_runs("<results>/{experiment}/policy/{run}.csv", *SEARCHED),
}
FIGURES = {figure: inputs for figure, inputs in FIGURES.items() if inputs}

# Samples that are deleted once they are used are drawn for each experiment by itself: one figure of
# all would need all of them at once, a terabyte.
OF_EACH = {"samples", "schedule"} if SCALE == "released" else set()


def figure_file(figure, suffix):
    folder = "<results>/{experiment}/figures" if figure in OF_EACH else "<results>/figures"
    return f"{folder}/{figure}.{suffix}"


def figure_labels(figure, suffix):
    which = {"experiment": "{experiment}"} if figure in OF_EACH else {}
    return {"figure": figure, **which, "format": suffix}
