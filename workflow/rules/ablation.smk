# What each choice contributes: a table and figures of the ablation's studies. A target of its own,
# which `all` doesn't ask for: it trains many policies more.


rule ablation_table:
    input:
        metrics=expand_runs(METRICS, ablation_runs(CONFIG)),
    output:
        csv=shown("<results>/tables/ablation.csv", "Ablation"),
        latex=shown("<results>/tables/ablation.tex", "Ablation"),
    log:
        "<logs>/ablation/table.log",
    benchmark:
        "<benchmarks>/ablation/table.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        config=config_file,
        depends=depends(identity.ablation),
    shell:
        "adagen ablation --config {params.config:q} --out {output.csv:q} --latex {output.latex:q}"
        " {input.metrics:q} 2>&1 | tee {log:q}"


# Samples of the study of rewards, which show what a metric may hide; where there is this study.
ABLATION_FIGURES = {
    "ablation": [],
    "ablation_samples": expand_runs(SAMPLES, ablation_runs(CONFIG, ["reward"])),
}
ABLATION_FIGURES = {k: v for k, v in ABLATION_FIGURES.items() if v or k == "ablation"}


for figure, samples in ABLATION_FIGURES.items():

    rule:
        name:
            f"figure_{figure}"
        input:
            table=rules.ablation_table.output.csv,
            samples=samples,
        output:
            pdf=shown(f"<results>/figures/{figure}.pdf", "Ablation"),
            png=shown(f"<results>/figures/{figure}.png", "Ablation"),
        log:
            f"<logs>/figure/{figure}.log",
        benchmark:
            f"<benchmarks>/figure/{figure}.tsv"
        priority: 25
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=memory("figure"),
            runtime=minutes("figure"),
            gpu=0,
        params:
            config=config_file,
            depends=depends(identity.named),
            kind=figure,
        shell:
            "adagen figure {params.kind:q} --config {params.config:q} --out {output.pdf:q}"
            " --png {output.png:q} {input.table:q} {input.samples:q} 2>&1 | tee {log:q}"


rule ablation:
    input:
        rules.ablation_table.output,
        [
            f"<results>/figures/{figure}.{suffix}"
            for figure in ABLATION_FIGURES
            for suffix in ("pdf", "png")
        ],
    localrule: True


PAPER += rules.ablation.input
