"""The runs of both dials: from `adagen` to `faithful`, and along the guidance scale."""


def dial_of(experiment, *seeds):
    """Runs from `adagen` to `faithful`: the two policies, and blends of them in between."""
    points = CONFIG.dial_of(experiment)
    return [dial_run(x, seed) for seed in seeds or CONFIG.training_seeds for x in points]


def guidance_of(experiment):
    """Names of the experiments that `handmade` is drawn in at a guidance scale each."""
    return [name for name, _ in CONFIG.guidance_of(experiment).values()]


def runs_of_curves(experiment):
    """Runs of an experiment, or of a derived one, that only the curves have."""
    if experiment in CONFIG.experiments:
        own = runs_of(experiment, *METHODS)
        return [run for run in dial_of(experiment) if run not in own]
    return ["handmade"] if experiment in expand_guidance("{experiment}") else []


def expand_dial(pattern):
    """The files `pattern` of the runs of the dial."""
    return [
        path
        for experiment in CONFIG.experiments
        for path in expand(pattern, experiment=experiment, run=dial_of(experiment))
    ]


def expand_guidance(pattern):
    """The files `pattern` of the hand-made schedule at several guidance scales."""
    names = [name for experiment in CONFIG.experiments for name in guidance_of(experiment)]
    return [expand(pattern, experiment=name, run="handmade")[0] for name in names]


def judged_samples(wildcards):
    """Samples of both dials of an experiment, with one training seed."""
    name, seed = wildcards.experiment, int(wildcards.seed)
    own = expand(SAMPLES, experiment=name, run=dial_of(name, seed))
    return [*own, *expand(SAMPLES, experiment=guidance_of(name), run="handmade")]


def judged_options(wildcards, input):
    return [word for path in input.judged for word in ("--judged", path)]
