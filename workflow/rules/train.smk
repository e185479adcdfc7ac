# Policies. AdaGen (which sees features and step), the faithful end of its dial and the learned static
# table (which knows the step only) are trained; the authors' policy is converted.


# These jobs take longest after pretraining, so they start as soon as they can.
rule train:
    input:
        generator=generator_file,
        features=rules.reward_features.output.features,
        preference=preference_file,
        start=start_file,
        networks=rules.metric_networks.output.networks,
        reference=rules.reference.output.statistics,
        sources=images,
    output:
        policy=ensure(
            "<results>/{experiment}/policy/{method}_seed{seed}.safetensors", non_empty=True
        ),
        reward=ensure(
            "<results>/{experiment}/policy/{method}_seed{seed}.reward.safetensors", non_empty=True
        ),
        history=ensure("<results>/{experiment}/policy/{method}_seed{seed}.jsonl", non_empty=True),
    log:
        "<logs>/train/{experiment}/{method}_seed{seed}.log",
    benchmark:
        "<benchmarks>/train/{experiment}/{method}_seed{seed}.tsv"
    priority: 40
    conda:
        "../../environment.yml"
    threads: CORES * PROCESSES
    resources:
        mem_mb=memory("train") * PROCESSES,
        runtime=minutes("train"),
        gpu=GPU * PROCESSES,
    params:
        config=config_file,
        depends=depends(identity.train, "experiment", "method"),
        preference=preference_option,
        start=start_option,
        checkpoint=resume_folder,
    shell:
        "adagen train --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --method {wildcards.method:q} --seed {wildcards.seed:q}"
        " --generator {input.generator:q} --features {input.features:q} {params.preference:q}"
        " {params.start:q} --networks {input.networks:q} --reference {input.reference:q}"
        " --out {output.policy:q} --reward-state {output.reward:q} --log {output.history:q}"
        " --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


rule released:
    input:
        generator=generator_file,
        sources=released_policy,
    output:
        policy=ensure("<results>/{experiment}/policy/released.safetensors", non_empty=True),
    log:
        "<logs>/released/{experiment}.log",
    benchmark:
        "<benchmarks>/released/{experiment}.tsv"
    wildcard_constraints:
        experiment=one_of(name for name, e in EXPERIMENTS.items() if e.released_policy),
    priority: 40
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory("pretrain"),
        runtime=30,
        gpu=0,
    params:
        config=config_file,
        depends=depends(identity.released, "experiment"),
    shell:
        "adagen adopt --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --generator {input.generator:q} --out {output.policy:q} 2>&1 | tee {log:q}"
