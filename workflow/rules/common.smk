"""What all rules share: the checked configuration, the runs, and what each stage depends on.

A stage is given the whole configuration as one file. Its `depends` parameter is the part of it
that can change the stage's output: Snakemake re-runs a job when that part changes, and only then.
Numbers that can't change a result (batch sizes of generation) stand in no part.

Snakemake exports OMP_NUM_THREADS and its kin from `threads`, so no command sets them.
"""

import hashlib
import os
import re
from pathlib import Path

import yaml
from snakemake.utils import validate

from adagen.config import LEARNED, parse_config
from adagen.errors import AdagenError


def check_config():
    """The typed configuration, or an error of one paragraph before anything has run."""
    # Snakemake lists the files given on the command line before the default they are laid over.
    *above, default = map(str, workflow.configfiles)
    options = ["--config"] if workflow.config_settings.config else []
    try:
        checked = parse_config(config, " + ".join([default, *above, *options]))
    except AdagenError as error:
        raise SystemExit(str(error)) from None
    # The numbers that `--config` nests are text until they are parsed, hence the typed content.
    validate(checked.model_dump(mode="json"), "../schemas/config.schema.json", set_default=False)
    return checked


def write_config():
    """Keep the merged configuration in a file named after its content, for the stages to read.

    `--configfile` and `--config` are merged in memory; a job, perhaps on another machine, needs
    exactly what this run was planned with. A later run with other settings writes another file.
    """
    text = yaml.safe_dump(CONFIG.model_dump(mode="json"), sort_keys=False)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = Path(".snakemake") / "adagen" / f"config-{digest}.yaml"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(text)
        partial.replace(path)
    return path


CONFIG = check_config()
CONFIG_FILE = write_config()
RUNS = [
    run
    for method in CONFIG.methods
    for run in (
        [f"{method}_seed{seed}" for seed in CONFIG.training_seeds]
        if method in LEARNED
        else [method]
    )
]


def one_of(names):
    """A regular expression for a wildcard that takes these values only."""
    return "|".join(map(re.escape, names))


def part(model, *without):
    """A configuration model as plain data, less the keys that can't matter."""
    return model.model_dump(mode="json", exclude=set(without))


# Files


def config_file(wildcards, output):
    """The configuration every stage reads.

    Taking `output` tells Snakemake not to compare this parameter between runs: its name changes
    with every key, and what matters to a stage is in `depends`.
    """
    return CONFIG_FILE


def resume_folder(wildcards, output):
    """Where a stage keeps its resumable state: apart from its outputs, which Snakemake deletes
    when a job is interrupted, and for this configuration alone.
    """
    return Path(CONFIG.resources) / "resume" / CONFIG_FILE.stem / Path(output[0]).with_suffix("")


def generator_file(wildcards):
    name = CONFIG.experiments[wildcards.experiment].generator
    return expand(rules.pretrain.output.generator, generator=name)


POLICY = "<results>/{experiment}/policy/{run}.safetensors"
POLICY_RUNS = [run for run in RUNS if run != "handmade"]


def policy_file(wildcards):
    """The policy of a run; the hand-made schedule needs none."""
    return expand(POLICY, **wildcards) if wildcards.run in POLICY_RUNS else []


def policies_of(wildcards):
    """All policies of an experiment."""
    return expand(POLICY, experiment=wildcards.experiment, run=POLICY_RUNS)


def method_of(wildcards):
    """The method of a run: `adagen` of `adagen_seed0`."""
    return wildcards.run.split("_seed")[0]


def policy_option(wildcards, input):
    return ["--policy", *input.policy] if input.policy else []


def metrics_folder(wildcards, output):
    return Path(output.metrics[0]).parent


# What a stage depends on


def pretrain_depends(wildcards):
    return {
        "dataset": part(CONFIG.dataset),
        "generator": part(CONFIG.generators[wildcards.generator]),
    }


def train_depends(wildcards):
    experiment = CONFIG.experiments[wildcards.experiment]
    return {
        "dataset": part(CONFIG.dataset),
        "experiment": part(experiment, "training"),
        "training": part(experiment.training, "batch"),
        "policy": part(CONFIG.policy),
    }


def sweep_depends(wildcards):
    experiment = CONFIG.experiments[wildcards.experiment]
    return {"experiment": part(experiment, "training"), "sweep": part(CONFIG.sweep)}


def sample_depends(wildcards):
    experiment = CONFIG.experiments[wildcards.experiment]
    return {
        "experiment": part(experiment, "training"),
        "evaluation": part(CONFIG.evaluation, "batch", "neighbours", "networks"),
    }


# Figures: the inputs of each kind. A kind of which the configuration has no run is left out.


def of_runs(pattern, runs):
    """The files `pattern` of every experiment of the configuration."""
    return expand(pattern, experiment=CONFIG.experiments, run=runs)


SAMPLES = "<results>/{experiment}/samples/{run}.safetensors"
METRICS = "<results>/{experiment}/metrics/{run}.json"
LEARNED_RUNS = [run for run in RUNS if "_seed" in run]
SEARCHED_RUNS = [run for run in RUNS if run == "tuned"]
FIGURES = {
    "samples": of_runs(SAMPLES, RUNS),
    "schedule": of_runs(SAMPLES, RUNS),
    "fid": of_runs(METRICS, RUNS),
    "training": of_runs("<results>/{experiment}/policy/{run}.jsonl", LEARNED_RUNS),
    "sweep": of_runs("<results>/{experiment}/policy/{run}.csv", SEARCHED_RUNS),
}
FIGURES = {figure: inputs for figure, inputs in FIGURES.items() if inputs}
