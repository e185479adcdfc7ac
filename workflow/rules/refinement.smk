# More compute for better images: samples chosen among candidates, and their table.


rule fit_judges:
    input:
        generator=generator_file,
        policy=POLICY,
        features=rules.reward_features.output.features,
        sources=images,
    output:
        judges=ensure(JUDGES, non_empty=True),
    log:
        "<logs>/fit_judges/{experiment}/{run}.log",
    benchmark:
        "<benchmarks>/fit_judges/{experiment}/{run}.tsv"
    priority: 20
    conda:
        "../../environment.yml"
    threads: CORES * PROCESSES
    resources:
        mem_mb=memory("refine") * PROCESSES,
        runtime=minutes("refine"),
        gpu=GPU * PROCESSES,
    params:
        config=config_file,
        depends=depends(identity.fit_judges, "experiment"),
        method=method_name,
    shell:
        "adagen fit-judges --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --generator {input.generator:q} --policy {input.policy:q} --method {params.method:q}"
        " --features {input.features:q} --out {output.judges:q} 2>&1 | tee {log:q}"


rule refine:
    input:
        generator=generator_file,
        policy=POLICY,
        features=rules.reward_features.output.features,
        reward=judging_state,
        preference=preference_file,
        sources=images,
    output:
        samples=kept_if_small(directory("<results>/{experiment}/samples/{run}+{refinement}")),
    log:
        "<logs>/refine/{experiment}/{run}+{refinement}.log",
    benchmark:
        "<benchmarks>/refine/{experiment}/{run}+{refinement}.tsv"
    priority: 20
    conda:
        "../../environment.yml"
    threads: CORES * PROCESSES
    resources:
        mem_mb=memory("refine") * PROCESSES,
        runtime=minutes("refine"),
        gpu=GPU * PROCESSES,
    params:
        config=config_file,
        depends=depends(identity.refine, "experiment", "refinement"),
        method=method_name,
        checkpoint=resume_folder,
        preference=preference_option,
    shell:
        "adagen sample --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --generator {input.generator:q} --policy {input.policy:q} --method {params.method:q}"
        " --refinement {wildcards.refinement:q} --features {input.features:q}"
        " --reward-state {input.reward:q} {params.preference:q}"
        " --out {output.samples:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


rule refinement_table:
    input:
        # Numbers of steps that only a curve has may be of equal compute.
        plain=expand_runs(METRICS, dict.fromkeys([*reported_runs(CONFIG), *steps_runs(CONFIG)])),
        refined=expand_runs(METRICS, refined_runs(CONFIG)),
    output:
        csv=shown("<results>/tables/refinement.csv", "Refinement"),
        latex=shown("<results>/tables/refinement.tex", "Refinement"),
    log:
        "<logs>/refinement.log",
    benchmark:
        "<benchmarks>/refinement.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        config=config_file,
        depends=depends(identity.named),
    shell:
        "adagen refinement --config {params.config:q} --out {output.csv:q}"
        " --latex {output.latex:q} {input.plain:q} {input.refined:q} 2>&1 | tee {log:q}"


PAPER += rules.refinement_table.output


rule refinement:
    input:
        rules.refinement_table.output,
    localrule: True
