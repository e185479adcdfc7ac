# Search for the best static schedules, with the same budget of samples for every experiment.


rule sweep:
    input:
        generator=generator_file,
        networks=rules.metric_networks.output.networks,
        reference=rules.reference.output.statistics,
    output:
        policy=ensure("<results>/{experiment}/policy/{search}.safetensors", non_empty=True),
        history=ensure("<results>/{experiment}/policy/{search}.csv", non_empty=True),
    log:
        "<logs>/sweep/{experiment}/{search}.log",
    benchmark:
        "<benchmarks>/sweep/{experiment}/{search}.tsv"
    wildcard_constraints:
        search=one_of(SEARCHED),
    priority: 30
    conda:
        "../../environment.yml"
    threads: CORES * PROCESSES
    resources:
        mem_mb=memory("sweep") * PROCESSES,
        runtime=minutes("sweep"),
        gpu=GPU * PROCESSES,
    params:
        config=config_file,
        depends=depends(identity.sweep, "experiment", "search"),
        checkpoint=resume_folder,
    shell:
        "adagen sweep --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --method {wildcards.search:q} --generator {input.generator:q}"
        " --networks {input.networks:q} --reference {input.reference:q}"
        " --out {output.policy:q} --log {output.history:q}"
        " --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"
