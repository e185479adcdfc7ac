# Statistics of real images, computed from the data set or read from a released file.


rule reference:
    input:
        networks=rules.metric_networks.output.networks,
        sources=reference_sources,
    output:
        statistics=ensure("<resources>/reference.safetensors", non_empty=True),
    log:
        "<logs>/reference.log",
    benchmark:
        "<benchmarks>/reference.tsv"
    priority: 50
    conda:
        "../../environment.yml"
    threads: CORES * PROCESSES
    resources:
        mem_mb=memory("reference") * PROCESSES,
        runtime=minutes("reference"),
        gpu=GPU * PROCESSES,
    params:
        config=config_file,
        depends=depends(identity.reference),
    shell:
        "adagen reference --config {params.config:q} --networks {input.networks:q}"
        " --out {output.statistics:q} 2>&1 | tee {log:q}"


rule pretrained:
    input:
        expand(rules.pretrain.output.generator, generator=CONFIG.generators),
        rules.metric_networks.output.networks,
        rules.clip_score.output.clip if CONFIG.evaluation.clip_score else [],
        rules.reward_features.output.features if set(CONFIG.methods) & set(LEARNED) else [],
        rules.reference.output.statistics,
    localrule: True
