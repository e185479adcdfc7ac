# The frozen networks: generators, metric networks, features of the reward. The configuration says
# for each whether it is fitted to the images or read from a released file.


# Once for all generators of captions that have the same text encoder.
rule embeddings:
    input:
        sources=embeddings_sources,
    output:
        encoder=ensure("<resources>/text/{generator}.safetensors", non_empty=True),
        embeddings=directory("<resources>/text/{generator}.embeddings"),
    log:
        "<logs>/text/{generator}.log",
    benchmark:
        "<benchmarks>/text/{generator}.tsv"
    priority: 70
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        mem_mb=memory("networks"),
        runtime=minutes("networks"),
        gpu=GPU,
    params:
        config=config_file,
        depends=depends(identity.embeddings, "generator"),
        checkpoint=resume_folder,
    shell:
        "adagen embed {wildcards.generator:q} --config {params.config:q}"
        " --encoder {output.encoder:q} --out {output.embeddings:q}"
        " --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


rule pretrain:
    input:
        unpack(text_files),
        sources=pretrain_sources,
    output:
        generator=ensure("<resources>/generators/{generator}.safetensors", non_empty=True),
    log:
        "<logs>/pretrain/{generator}.log",
    benchmark:
        "<benchmarks>/pretrain/{generator}.tsv"
    priority: 60
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        mem_mb=memory("pretrain"),
        runtime=minutes("pretrain"),
        gpu=gpu_of_pretrain,
    params:
        config=config_file,
        depends=depends(identity.pretrain, "generator"),
        checkpoint=resume_folder,
        text=text_options,
    shell:
        "adagen pretrain {wildcards.generator:q} --config {params.config:q}"
        " {params.text:q} --out {output.generator:q} --checkpoint {params.checkpoint:q}"
        " 2>&1 | tee {log:q}"


# These only measure: they share nothing with a generator or with the reward.
rule metric_networks:
    input:
        sources=metric_sources,
    output:
        networks=ensure("<resources>/metrics.safetensors", non_empty=True),
    log:
        "<logs>/pretrain/metrics.log",
    benchmark:
        "<benchmarks>/pretrain/metrics.tsv"
    priority: 50
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        mem_mb=memory("networks"),
        runtime=minutes("networks"),
        gpu=0 if INCEPTION else GPU,
    params:
        config=config_file,
        depends=depends(identity.metric_networks),
        checkpoint=resume_folder,
    shell:
        "adagen pretrain metrics --config {params.config:q}"
        " --out {output.networks:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


# Another CLIP than any that rewards.
rule clip_score:
    input:
        sources=clip_score_sources,
    output:
        clip=ensure("<resources>/clip_score.safetensors", non_empty=True),
    log:
        "<logs>/pretrain/clip_score.log",
    benchmark:
        "<benchmarks>/pretrain/clip_score.tsv"
    priority: 50
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        mem_mb=memory("networks"),
        runtime=minutes("networks"),
        gpu=GPU,
    params:
        config=config_file,
        depends=depends(identity.clip_score),
    shell:
        "adagen pretrain clip_score --config {params.config:q} --out {output.clip:q}"
        " 2>&1 | tee {log:q}"


rule reward_features:
    input:
        sources=reward_sources,
    output:
        features=ensure("<resources>/reward.safetensors", non_empty=True),
    log:
        "<logs>/pretrain/reward.log",
    benchmark:
        "<benchmarks>/pretrain/reward.tsv"
    priority: 50
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        mem_mb=memory("networks"),
        runtime=minutes("networks"),
        gpu=0 if DINO else GPU,
    params:
        config=config_file,
        depends=depends(identity.reward_features),
        checkpoint=resume_folder,
    shell:
        "adagen pretrain reward --config {params.config:q}"
        " --out {output.features:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


# It says how well an image shows its class, and shares nothing with the networks that measure.
rule preference:
    input:
        sources=preference_sources,
    output:
        preference=ensure("<resources>/preference.safetensors", non_empty=True),
    log:
        "<logs>/pretrain/preference.log",
    benchmark:
        "<benchmarks>/pretrain/preference.tsv"
    priority: 50
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        mem_mb=memory("networks"),
        runtime=minutes("networks"),
        gpu=GPU,
    params:
        config=config_file,
        depends=depends(identity.preference),
        checkpoint=resume_folder,
    shell:
        "adagen pretrain preference --config {params.config:q}"
        " --out {output.preference:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"
