# The dial between fidelity and diversity: samples from end to end, and what the rewards say of them
# and of those of the classical dial, guidance.


rule blend:
    input:
        generator=generator_file,
        policy="<results>/{experiment}/policy/adagen_seed{seed}.safetensors",
        faithful="<results>/{experiment}/policy/faithful_seed{seed}.safetensors",
    output:
        samples=kept_if_small(directory("<results>/{experiment}/samples/dial{fidelity}_seed{seed}")),
    log:
        "<logs>/blend/{experiment}/dial{fidelity}_seed{seed}.log",
    benchmark:
        "<benchmarks>/blend/{experiment}/dial{fidelity}_seed{seed}.tsv"
    wildcard_constraints:
        fidelity=one_of(f"{x:g}" for x in CONFIG.curves.fidelity.points),
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
        depends=depends(identity.sample, "experiment"),
        checkpoint=resume_folder,
    shell:
        "adagen sample --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --generator {input.generator:q} --policy {input.policy:q} --method adagen"
        " --faithful {input.faithful:q} --fidelity {wildcards.fidelity:q}"
        " --out {output.samples:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


# The rewards of the dial's training judge both dials.
rule judge:
    input:
        generator=generator_file,
        features=rules.reward_features.output.features,
        reward="<results>/{experiment}/policy/adagen_seed{seed}.reward.safetensors",
        preference=rules.preference.output.preference,
        sources=images,
        samples=judged_samples,
    output:
        judgement=ensure("<results>/{experiment}/judged/adagen_seed{seed}.json", non_empty=True),
    log:
        "<logs>/judge/{experiment}/adagen_seed{seed}.log",
    benchmark:
        "<benchmarks>/judge/{experiment}/adagen_seed{seed}.tsv"
    priority: 25
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        mem_mb=memory("evaluate"),
        runtime=minutes("evaluate"),
        gpu=GPU,
    params:
        config=config_file,
        depends=depends(identity.judge, "experiment"),
    shell:
        "adagen judge --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --seed {wildcards.seed:q} --generator {input.generator:q}"
        " --features {input.features:q} --reward-state {input.reward:q}"
        " --preference {input.preference:q} --out {output.judgement:q} {input.samples:q}"
        " 2>&1 | tee {log:q}"
