# Statistics of the train and the held-out images in every feature space.


rule reference:
    input:
        networks=rules.metric_networks.output.networks,
    output:
        statistics=ensure("<resources>/reference.safetensors", non_empty=True),
    log:
        "<logs>/reference.log",
    benchmark:
        "<benchmarks>/reference.tsv"
    priority: 50
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        config=config_file,
        depends={"dataset": part(CONFIG.dataset)},
    shell:
        "adagen reference --config {params.config:q} --networks {input.networks:q}"
        " --out {output.statistics:q} 2>&1 | tee {log:q}"


rule pretrained:
    input:
        expand(rules.pretrain.output.generator, generator=CONFIG.generators),
        rules.metric_networks.output.networks,
        rules.reward_features.output.features,
        rules.reference.output.statistics,
    localrule: True
