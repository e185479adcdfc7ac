# The whole pipeline: pretrain -> reference -> train, sweep -> sample -> evaluate -> paper.
#
#   snakemake --cores all                                          tables and figures
#   snakemake --cores all results/tables/fid.csv                   one of them
#   snakemake --cores all --configfile config/smoke.yaml           another configuration, laid over
#                                                                  config/config.yaml
from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


# Checks the configuration before anything else happens.
include: "workflow/rules/common.smk"


pathvars:
    results=CONFIG.results,
    resources=CONFIG.resources,
    logs=f"logs/{CONFIG.name}",
    benchmarks=f"benchmarks/{CONFIG.name}",


wildcard_constraints:
    generator=one_of(CONFIG.generators),
    experiment=one_of(CONFIG.experiments),
    method=one_of(LEARNED),
    run=one_of(RUNS),
    seed=r"\d+",


include: "workflow/rules/pretrain.smk"
include: "workflow/rules/reference.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sweep.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/paper.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        rules.pretrained.input,
        of_runs(POLICY, POLICY_RUNS),
        rules.table.output,
        expand("<results>/figures/{figure}.{suffix}", figure=FIGURES, suffix=["pdf", "png"]),
    localrule: True
