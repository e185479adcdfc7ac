# More compute for better images: samples chosen among candidates.


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
