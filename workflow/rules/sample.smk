# Images of a run. One process draws every sampling seed, because starting it takes seconds.
# On a cluster several jobs may share a run; their number does not change the images.


if CONFIG.evaluation.jobs == 1:

    rule sample:
        input:
            generator=generator_file,
            policy=policy_file,
        output:
            # A folder of shards. A stage writes its outputs whole or not at all, and evaluation
            # refuses a damaged shard.
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
            depends=depends(identity.sample, "experiment"),
            method=method_name,
            checkpoint=resume_folder,
            policy=policy_option,
        shell:
            "adagen sample --config {params.config:q} --experiment {wildcards.experiment:q}"
            " --generator {input.generator:q} {params.policy:q} --method {params.method:q}"
            " --out {output.samples:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"

else:

    scattergather:
        parts=CONFIG.evaluation.jobs,

    rule sample_part:
        input:
            generator=generator_file,
            policy=policy_file,
        output:
            samples=temp(directory("<results>/{experiment}/parts/{run}/{scatteritem}")),
        log:
            "<logs>/sample/{experiment}/{run}/{scatteritem}.log",
        benchmark:
            "<benchmarks>/sample/{experiment}/{run}/{scatteritem}.tsv"
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
            part=part_option,
        shell:
            "adagen sample --config {params.config:q} --experiment {wildcards.experiment:q}"
            " --generator {input.generator:q} {params.policy:q} --method {params.method:q}"
            " --part {params.part:q} --out {output.samples:q} --checkpoint {params.checkpoint:q}"
            " 2>&1 | tee {log:q}"

    rule sample:
        input:
            parts=gather.parts("<results>/{{experiment}}/parts/{{run}}/{scatteritem}"),
            # What the parts were made from: the parts are deleted once they are joined.
            generator=generator_file,
            policy=policy_file,
        output:
            samples=kept_if_small(directory("<results>/{experiment}/samples/{run}")),
        log:
            "<logs>/sample/{experiment}/{run}.log",
        benchmark:
            "<benchmarks>/sample/{experiment}/{run}.tsv"
        # Before more parts are drawn, so that those that exist can be deleted.
        priority: 21
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=memory("sample"),
            runtime=minutes("sample"),
            gpu=0,
        params:
            depends=depends(identity.sample, "experiment"),
        shell:
            "adagen gather --out {output.samples:q} {input.parts:q} 2>&1 | tee {log:q}"
