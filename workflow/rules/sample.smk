# Images of one run: every sampling seed in one process, as its start-up costs seconds.


rule sample:
    input:
        generator=generator_file,
        policy=policy_file,
    output:
        # temp() for paper scale; profiles/default keeps the embedded data's, which are small.
        # No ensure(): `snakemake --touch` after `dvc pull` would stop at the missing file. A stage
        # writes its outputs whole or not at all, and evaluate refuses a damaged one.
        samples=temp("<results>/{experiment}/samples/{run}.safetensors"),
    log:
        "<logs>/sample/{experiment}/{run}.log",
    benchmark:
        "<benchmarks>/sample/{experiment}/{run}.tsv"
    priority: 20
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        config=config_file,
        depends=sample_depends,
        method=method_of,
        policy=policy_option,
    shell:
        "adagen sample --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --generator {input.generator:q} {params.policy:q} --method {params.method:q}"
        " --out {output.samples:q} 2>&1 | tee {log:q}"
