# The whole pipeline: fetch -> pretrain -> reference -> train, sweep -> sample -> evaluate -> paper.
#
#   snakemake --cores all                                          tables and figures
#   snakemake --cores all results/tables/fid.csv                   one of them
#   snakemake --cores all --configfile config/digits_full.yaml     another configuration
from snakemake.utils import min_version

min_version("9.27")


# Reads the configuration, and checks it before anything else happens.
include: "workflow/rules/common.smk"


pathvars:
    results=CONFIG.results,
    resources=CONFIG.resources,
    logs=f"logs/{CONFIG.name}",
    benchmarks=f"benchmarks/{CONFIG.name}",


wildcard_constraints:
    generator=one_of(CONFIG.generators),
    experiment=one_of(EXPERIMENTS),
    method=one_of(LEARNED),
    run=one_of(run.name for run in PLAIN),
    refinement=one_of(CONFIG.refinements),
    seed=r"\d+",


include: "workflow/rules/deletion.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/assets.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/reference.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sweep.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/evaluate.smk"


if refined_runs(CONFIG):

    include: "workflow/rules/refinement.smk"


if dial_runs(CONFIG):

    include: "workflow/rules/dial.smk"


include: "workflow/rules/paper.smk"


if CONFIG.evaluation.alignment:

    include: "workflow/rules/text.smk"


report: "workflow/report/workflow.rst"


# Everything in the folder of an experiment, which is what DVC asks for: metrics and policies.
for name in EXPERIMENTS:
    runs = runs_in(name)

    rule:
        name:
            f"experiment_{name}"
        input:
            expand_runs(METRICS, runs),
            expand_runs(POLICY, policies_of(runs)),
        localrule: True


# What has targets of its own.
BESIDE = ("Samples", "Rivals", "Ablation")


rule all:
    default_target: True
    input:
        rules.pretrained.input,
        expand_runs(POLICY, policies_of(runs_of(CONFIG))),
        [files for category, files in SHOWN.items() if category not in BESIDE],
    localrule: True
