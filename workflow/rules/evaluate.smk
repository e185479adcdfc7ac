# Metrics of all runs of an experiment, in one process.


rule evaluate:
    input:
        networks=rules.metric_networks.output.networks,
        reference=rules.reference.output.statistics,
        samples=expand(rules.sample.output.samples, run=RUNS, allow_missing=True),
        # What the samples were made from: with the samples gone, metrics that are older than these
        # (those of a fresh clone, say) are still seen to be out of date.
        generator=generator_file,
        policies=policies_of,
    output:
        metrics=[
            report(
                ensure(f"<results>/{{experiment}}/metrics/{run}.json", non_empty=True),
                caption="../report/metrics.rst",
                category="Metrics",
                labels={"experiment": "{experiment}", "run": run},
            )
            for run in RUNS
        ],
    log:
        "<logs>/evaluate/{experiment}.log",
    benchmark:
        "<benchmarks>/evaluate/{experiment}.tsv"
    priority: 10
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
        gpu=0,
    params:
        config=config_file,
        depends={"evaluation": part(CONFIG.evaluation, "batch", "samples", "seeds", "networks")},
        folder=metrics_folder,
    shell:
        "adagen evaluate --config {params.config:q} --networks {input.networks:q}"
        " --reference {input.reference:q} --out-dir {params.folder:q} {input.samples:q}"
        " 2>&1 | tee {log:q}"
