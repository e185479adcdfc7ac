"""What all rules share: the checked configuration, the runs, their files and parameters.

A stage is given the whole configuration as one file; its `depends` parameter is in `depends.smk`.

Snakemake exports OMP_NUM_THREADS and its kin from `threads`, so no command sets them.
"""

import hashlib
import os
import re
from pathlib import Path

import yaml
from snakemake.utils import validate

from adagen.data.released import asset_path, catalogue, needed
from adagen.config import (
    FAMILIES,
    LEARNED,
    METHODS,
    SEARCHED,
    WITHOUT_POLICY,
    dial_run,
    parse_config,
    published_numbers,
)
from adagen.config.loading import read_config
from adagen.config.overlay import overlay
from adagen.runtime.errors import AdagenError
from adagen.runtime.lifeline import end_stages_with_this_process

# A stage ends with the Snakemake that started it, which on a cluster is that of its job.
end_stages_with_this_process()


def check_config():
    """The typed configuration, or an error of one paragraph before anything has run.

    Snakemake has merged the files in its own way; they are read again, for what they extend.
    """
    files = [Path(os.path.relpath(path)) for path in workflow.configfiles]
    options = workflow.config_settings.config
    source = " + ".join([*map(str, files), *(["--config"] if options else [])])
    try:
        checked = parse_config(overlay(read_config(files), options), source)
        for name in needed(checked):
            asset_path(checked.assets, name)
    except AdagenError as error:
        raise SystemExit(str(error)) from None
    content = checked.model_dump(mode="json")
    # The numbers that `--config` nests are text until they are parsed, hence the typed content.
    validate(content, "../schemas/config.schema.json", set_default=False)
    # What the report shows.
    config.clear()
    config.update(content)
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


def one_of(names):
    """A regular expression for a wildcard that takes these values only; without any, for none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def part(model, *without):
    """A configuration model as plain data, less the keys that can't matter."""
    return model.model_dump(mode="json", exclude=set(without))


# Runs


def runs_by(methods):
    """The runs of some methods: one each, and one a training seed where it is trained."""
    return [
        run
        for method in methods
        for run in (
            [f"{method}_seed{seed}" for seed in CONFIG.training_seeds]
            if method in LEARNED
            else [method]
        )
    ]


def runs_of(experiment, *methods):
    """The runs of an experiment, of these methods."""
    return runs_by(method for method in CONFIG.methods_of(experiment) if method in methods)


def refined_runs_of(experiment):
    """Runs whose samples are chosen among candidates: those of `adagen`, once a refinement."""
    runs, refinements = runs_of(experiment, "adagen"), CONFIG.refinements_of(experiment)
    return [f"{run}+{refinement}" for refinement in refinements for run in runs]


def runs_of_ablation(experiment):
    """Runs of an experiment, or of a derived one, that only the ablation has."""
    runs = [run for cell in CONFIG.cells if cell.name == experiment for run in cell.runs]
    own = runs_of(experiment, *METHODS) if experiment in CONFIG.experiments else []
    own += runs_of_curves(experiment)
    return [run for run in dict.fromkeys(runs) if run not in own]


def expand_ablation(pattern, *studies):
    """The files `pattern` of the ablation's runs, in the order of its table."""
    return list(
        dict.fromkeys(
            path
            for cell in CONFIG.cells
            if not studies or cell.study in studies
            for path in expand(pattern, experiment=cell.name, run=cell.runs)
        )
    )


def expand_refined_runs(pattern, experiments=CONFIG.experiments):
    """The files `pattern` of every experiment, or of these, and of its refined runs."""
    return [
        path
        for experiment in experiments
        for path in expand(pattern, experiment=experiment, run=refined_runs_of(experiment))
    ]


def expand_steps(pattern):
    """The files `pattern` of the plain runs of every number of steps of the steps curves."""
    return [
        path
        for budget in CONFIG.budgets
        for path in expand(pattern, experiment=budget.name, run=runs_by(budget.methods))
    ]


def expand_runs(pattern, *methods):
    """The files `pattern` of every experiment and of its runs of these methods."""
    return [
        path
        for experiment in CONFIG.experiments
        for path in expand(pattern, experiment=experiment, run=runs_of(experiment, *methods))
    ]


include: "dial_runs.smk"


# With those that the ablation and the curves derive.
EXPERIMENTS = CONFIG.every_experiment
RUNS = {run for experiment in CONFIG.experiments for run in runs_of(experiment, *METHODS)}
RUNS |= {run for cell in CONFIG.cells for run in cell.runs}
RUNS = sorted(RUNS | {run for run in expand_dial("{run}") if not run.startswith("dial")})
WITH_POLICY = [method for method in METHODS if method not in WITHOUT_POLICY]
# Experiments that have the same runs, by the ending of the rule that evaluates them, the methods
# that others don't have. Refined runs are evaluated apart, and so are those that only curves have.
# So is what only the ablation has, and it is no part of `all`.
EVALUATED = {}
for experiment in CONFIG.experiments:
    own = [m for m in CONFIG.methods_of(experiment) if m in FAMILIES or m == "released"]
    suffix = "".join(f"_{method}" for method in own)
    EVALUATED.setdefault(suffix, ([], runs_of(experiment, *METHODS)))[0].append(experiment)
for refined in CONFIG.experiments:
    if runs := refined_runs_of(refined):
        suffix = "_".join(["_refined", *CONFIG.refinements_of(refined)])
        EVALUATED.setdefault(suffix, ([], runs))[0].append(refined)
for budget in CONFIG.budgets:
    if budget.name not in CONFIG.experiments and budget.methods:
        suffix = "_".join(["_steps", *budget.methods])
        EVALUATED.setdefault(suffix, ([], runs_by(budget.methods)))[0].append(budget.name)
for derived in EXPERIMENTS:
    if runs := runs_of_curves(derived):
        suffix = "_dial" if derived in CONFIG.experiments else "_guidance"
        EVALUATED.setdefault(suffix, ([], runs))[0].append(derived)
    if runs := runs_of_ablation(derived):
        suffix = "_".join(["_ablation", *runs])
        EVALUATED.setdefault(suffix, ([], runs))[0].append(derived)


def method_of(run):
    """The method of a run: `adagen` of `adagen_seed0`."""
    return run.split("_seed")[0]


def trained(runs):
    """The runs whose policies these take: those that are refined share one, a blend takes two."""
    own = [re.sub(r"^dial[^_]*", "adagen", run.partition("+")[0]) for run in runs]
    own += [re.sub(r"^dial[^_]*", "faithful", run) for run in runs if run.startswith("dial")]
    return [run for run in dict.fromkeys(own) if method_of(run) in WITH_POLICY]


include: "inputs.smk"


# Parameters


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
    own = Path(output[0]).with_suffix("").as_posix().lstrip("/")
    return Path(CONFIG.resources) / "resume" / CONFIG_FILE.stem / own


def method_name(wildcards):
    return method_of(wildcards.run)


def asset_name(wildcards):
    return ASSETS[wildcards.file]


def policy_option(wildcards, input):
    return ["--policy", *input.policy] if input.policy else []


def part_option(wildcards):
    """Part 2 of 4, as `adagen sample` takes it, of "2-of-4"."""
    return wildcards.scatteritem.replace("-of-", "/")


def preference_option(wildcards, input):
    return ["--preference", *input.preference] if input.preference else []


def metrics_folder(wildcards, output):
    return Path(output.metrics[0]).parent


include: "depends.smk"
