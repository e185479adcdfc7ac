# Images of one run: every sampling seed in one process, as its start-up costs seconds.


rule sample:
    input:
        generator=generator_file,
        policy=policy_file,
    output:
        # A folder of shards. A stage writes its outputs whole or not at all, and evaluate refuses
        # a damaged one.
        samples=kept_if_small(directory("<results>/{experiment}/samples/{run}")),
    log:
        "<logs>/sample/{experiment}/{run}.log",
    benchmark:
        "<benchmarks>/sample/{experiment}/{run}.tsv"
    priority: 20
    conda:
        "../../environment.yml"
    threads: CORES * PROCESSES
    resources:
        mem_mb=memory("sample") * PROCESSES,
        runtime=minutes("sample"),
        gpu=GPU * PROCESSES,
    params:
        config=config_file,
        depends=sample_depends,
        method=method_name,
        checkpoint=resume_folder,
        policy=policy_option,
    shell:
        "adagen sample --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --generator {input.generator:q} {params.policy:q} --method {params.method:q}"
        " --out {output.samples:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"
