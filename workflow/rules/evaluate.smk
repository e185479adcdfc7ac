# Metrics of the runs of an experiment, in one process. A rule has the same outputs for every
# experiment, so there is one rule for each set of runs (`evaluations` in adagen/config/runs.py).


for suffix, (experiments, runs) in evaluations(CONFIG).items():
    names = [run.name for run in runs]

    rule:
        name:
            f"evaluate{suffix}"
        input:
            networks=rules.metric_networks.output.networks,
            reference=rules.reference.output.statistics,
            clip_score=clip_score_file,
            samples=expand(rules.sample.output.samples, run=names, allow_missing=True),
            # What the samples were made from: if the samples are gone, metrics that are older than
            # these files are still seen to be out of date.
            generator=generator_file,
            policies=expand(POLICY, run=[p.name for p in policies_of(runs)], allow_missing=True),
        output:
            metrics=[
                report(
                    ensure(f"<results>/{{experiment}}/metrics/{run.name}.json", non_empty=True),
                    caption="../report/metrics.rst",
                    category="Metrics",
                    subcategory=paradigm_of,
                    labels={"experiment": "{experiment}", "method": run_in_print(run)},
                )
                for run in runs
            ],
        log:
            f"<logs>/evaluate/{{experiment}}{suffix}.log",
        benchmark:
            f"<benchmarks>/evaluate/{{experiment}}{suffix}.tsv"
        wildcard_constraints:
            experiment=one_of(experiments),
        # Before more samples are drawn, so that those that exist can be deleted.
        priority: 25
        conda:
            "../../environment.yml"
        threads: CORES * PROCESSES
        resources:
            mem_mb=memory("evaluate") * PROCESSES,
            runtime=minutes("evaluate"),
            gpu=GPU * PROCESSES,
        params:
            config=config_file,
            depends=depends(identity.evaluate),
            folder=metrics_folder,
            clip_score=clip_score_option,
            made_from=made_from_options,
        shell:
            "adagen evaluate --config {params.config:q} --networks {input.networks:q}"
            " --reference {input.reference:q} {params.clip_score:q} {params.made_from:q}"
            " --out-dir {params.folder:q} {input.samples:q}"
            " 2>&1 | tee {log:q}"
