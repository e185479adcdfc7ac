# Samples of prompts, how often they show what the prompt says, and a figure of them.

ALIGNMENT = CONFIG.evaluation.alignment


rule alignment_network:
    output:
        network=ensure("<resources>/alignment.safetensors", non_empty=True),
    log:
        "<logs>/pretrain/alignment.log",
    benchmark:
        "<benchmarks>/pretrain/alignment.tsv"
    priority: 40
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        mem_mb=memory("networks"),
        runtime=minutes("networks"),
        gpu=GPU,
    params:
        config=config_file,
        depends=depends(identity.alignment),
        checkpoint=resume_folder,
    shell:
        "adagen pretrain alignment --config {params.config:q}"
        " --out {output.network:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


rule prompts:
    input:
        generator=generator_file,
        policy=policy_file,
        prompts=ALIGNMENT.prompts,
    output:
        samples=directory("<results>/{experiment}/prompts/{run}"),
    log:
        "<logs>/prompts/{experiment}/{run}.log",
    benchmark:
        "<benchmarks>/prompts/{experiment}/{run}.tsv"
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
        method=method_name,
        checkpoint=resume_folder,
        policy=policy_option,
        each=ALIGNMENT.images,
    shell:
        "adagen sample --config {params.config:q} --experiment {wildcards.experiment:q}"
        " --generator {input.generator:q} {params.policy:q} --method {params.method:q}"
        " --prompts {input.prompts:q} --each {params.each} --out {output.samples:q}"
        " --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"


rule alignment:
    input:
        network=rules.alignment_network.output.network,
        samples=expand_runs("<results>/{experiment}/prompts/{run}", prompted_runs(CONFIG)),
    output:
        csv=shown("<results>/tables/alignment.csv", "Results"),
        latex=shown("<results>/tables/alignment.tex", "Results"),
        pdf=shown("<results>/figures/prompts.pdf", "Results"),
        png=shown("<results>/figures/prompts.png", "Results"),
        settings=ensure("<results>/tables/alignment.settings.json", non_empty=True),
    log:
        "<logs>/alignment.log",
    benchmark:
        "<benchmarks>/alignment.tsv"
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        mem_mb=memory("networks"),
        runtime=minutes("networks"),
        gpu=GPU,
    params:
        config=config_file,
    shell:
        "adagen align --config {params.config:q} --network {input.network:q}"
        " --out {output.csv:q} --latex {output.latex:q} --figure {output.pdf:q}"
        " --png {output.png:q} {input.samples:q} 2>&1 | tee {log:q}"
