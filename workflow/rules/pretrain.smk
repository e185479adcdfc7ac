# The frozen networks: generators, metric networks, features of the reward.


rule pretrain:
    output:
        generator=ensure("<resources>/generators/{generator}.safetensors", non_empty=True),
    log:
        "<logs>/pretrain/{generator}.log",
    benchmark:
        "<benchmarks>/pretrain/{generator}.tsv"
    priority: 60
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        config=config_file,
        depends=pretrain_depends,
        checkpoint=resume_folder,
    shell:
        "adagen pretrain {wildcards.generator:q} --config {params.config:q}"
        " --out {output.generator:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


# They only measure: nothing here is shared with a generator or with the reward.
rule metric_networks:
    output:
        networks=ensure("<resources>/metrics.safetensors", non_empty=True),
    log:
        "<logs>/pretrain/metrics.log",
    benchmark:
        "<benchmarks>/pretrain/metrics.tsv"
    priority: 50
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        config=config_file,
        depends={"dataset": part(CONFIG.dataset), "networks": part(CONFIG.evaluation.networks)},
        checkpoint=resume_folder,
    shell:
        "adagen pretrain metrics --config {params.config:q}"
        " --out {output.networks:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


rule reward_features:
    output:
        features=ensure("<resources>/reward.safetensors", non_empty=True),
    log:
        "<logs>/pretrain/reward.log",
    benchmark:
        "<benchmarks>/pretrain/reward.tsv"
    priority: 50
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        config=config_file,
        depends={"dataset": part(CONFIG.dataset), "features": part(CONFIG.reward_features)},
        checkpoint=resume_folder,
    shell:
        "adagen pretrain reward --config {params.config:q}"
        " --out {output.features:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"
