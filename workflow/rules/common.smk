"""What all rules share: the checked configuration, the files of runs, parameters.

adagen/config/runs.py says which runs there are, and adagen/config/identity.py what a result depends
on. Every stage is given the whole configuration as one file.

Snakemake exports OMP_NUM_THREADS and similar variables from `threads`, so no command sets them.
"""

import os
import re
import sys
from functools import partial
from pathlib import Path

from adagen.config import LEARNED, SEARCHED, identity
from adagen.config.bindings import asks_preference, starts_tuned
from adagen.config.runs import (
    Run,
    beside_runs,
    dial_runs,
    evaluations,
    guidance_runs,
    plain_runs,
    policies_of,
    prompted_runs,
    refined_runs,
    runs_of,
    steps_runs,
)
from adagen.config.shown import named
from adagen.config.stored import store_config
from adagen.planning.workflow import (
    NEEDS,
    RELEASED,
    checked_config,
    require_options_once,
    scale_of,
)
from adagen.runtime.errors import AdagenError
from adagen.runtime import usage
from adagen.runtime.shutdown import end_stages_with_this_process

# Stages end when this process does. On a cluster that is the Snakemake inside the job.
end_stages_with_this_process()
# Each log ends with the processor time of its job.
os.environ[usage.ASKED] = "1"

try:
    require_options_once(sys.argv[1:])
    # Without `--configfile` it is the default run's. A directive would let Snakemake read it first,
    # whose messages say less.
    CONFIG = checked_config(
        workflow.configfiles or [Path("config/config.yaml")], workflow.config_settings.config
    )
    CONFIG_FILE = store_config(CONFIG, Path(".snakemake") / "adagen")
except AdagenError as error:
    raise SystemExit(str(error)) from None

# With the experiments that ablation, curves and rivals derive.
EXPERIMENTS = CONFIG.every_experiment
# Neither refined nor blended: these are sampled with one policy, or with none.
PLAIN = [
    run
    for run in [*runs_of(CONFIG), *beside_runs(CONFIG)]
    if not run.refinement and run.fidelity is None
]

# The report shows this.
config.clear()
config.update(CONFIG.model_dump(mode="json"))


def one_of(names):
    """A regular expression that matches these values only; without values it matches nothing."""
    return "|".join(map(re.escape, dict.fromkeys(names))) or "(?!)"


def expand_runs(pattern, runs):
    """The path `pattern` of every run."""
    return [pattern.format(experiment=run.experiment, run=run.name) for run in runs]


def runs_in(experiment):
    """The runs of an experiment; those of ablation and rivals where it has no others."""
    of_all, beside = (
        [run for run in runs if run.experiment == experiment]
        for runs in (runs_of(CONFIG), beside_runs(CONFIG))
    )
    return of_all or beside


def run_of(wildcards):
    """The run that a job is about."""
    return Run.parse(wildcards.experiment, wildcards.run)


# Parameters


def depends(identity_of, *wildcard_names):
    """The parameter `depends` of a rule, whose change runs a job again.

    `identity_of` is a function of adagen/config/identity.py or shown.py; it is given the values of
    the wildcards.
    """

    def of_job(wildcards):
        found = identity_of(CONFIG, **{name: getattr(wildcards, name) for name in wildcard_names})
        return identity.computed(CONFIG, found)

    return of_job


def config_file(wildcards, output):
    """The configuration that every stage reads.

    Its name changes with every key. Snakemake does not compare parameters whose function takes
    `output`; what matters to a stage is in `depends`.
    """
    return CONFIG_FILE


def resume_folder(wildcards, output):
    """Where a stage keeps its resumable state: not with its outputs, which Snakemake deletes when
    a job is interrupted, and not shared with other configurations.
    """
    stem = Path(output[0]).with_suffix("").as_posix().lstrip("/")
    return Path(CONFIG.resources) / "resume" / CONFIG_FILE.stem / stem


def method_name(wildcards):
    return run_of(wildcards).method


def asset_name(wildcards):
    return ASSETS[wildcards.file]


def asset_target(wildcards, output):
    """The released file that a link stands for."""
    return asset_path(CONFIG.assets, asset_name(wildcards)).absolute()


def text_options(wildcards, input):
    if "encoder" not in input.keys():
        return []
    return ["--encoder", input.encoder, "--embeddings", input.embeddings]


def policy_option(wildcards, input):
    return ["--policy", *input.policy] if input.policy else []


def part_option(wildcards):
    """From `2-of-4` to `2/4`, which `adagen sample` takes."""
    return wildcards.scatteritem.replace("-of-", "/")


def preference_option(wildcards, input):
    return ["--preference", *input.preference] if input.preference else []


def start_option(wildcards, input):
    return ["--start", *input.start] if input.start else []


def clip_score_option(wildcards, input):
    return ["--clip-score", *input.clip_score] if input.clip_score else []


def judged_options(wildcards, input):
    return [word for path in input.judged for word in ("--judged", path)]


def made_from_options(wildcards, input):
    return [word for path in [*input.generator, *input.policies] for word in ("--made-from", path)]


def metrics_folder(wildcards, output):
    return Path(output.metrics[0]).parent


include: "inputs.smk"
