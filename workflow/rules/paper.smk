# The tables and the figures, as they stand in a paper and in the report.


rule table:
    input:
        metrics=FIGURES["fid"],
    output:
        csv=shown("<results>/tables/fid.csv", "Results", caption="fid_table"),
        latex=shown("<results>/tables/fid.tex", "Results", caption="fid_table"),
    log:
        "<logs>/table.log",
    benchmark:
        "<benchmarks>/table.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        config=config_file,
        depends=depends(identity.named),
    shell:
        "adagen table --config {params.config:q} --out {output.csv:q} --latex {output.latex:q}"
        " {input.metrics:q} 2>&1 | tee {log:q}"


rule system:
    input:
        metrics=FIGURES["fid"],
    output:
        csv=shown("<results>/tables/system.csv", "Results"),
        latex=shown("<results>/tables/system.tex", "Results"),
    log:
        "<logs>/system.log",
    benchmark:
        "<benchmarks>/system.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        config=config_file,
        depends=depends(identity.system),
    shell:
        "adagen system --config {params.config:q} --out {output.csv:q} --latex {output.latex:q}"
        " {input.metrics:q} 2>&1 | tee {log:q}"


PAPER += rules.system.output + rules.table.output


if "comparisons" in FIGURES:

    rule comparisons:
        input:
            metrics=FIGURES["comparisons"],
        output:
            csv=shown("<results>/tables/comparisons.csv", "Results"),
            latex=shown("<results>/tables/comparisons.tex", "Results"),
        log:
            "<logs>/comparisons.log",
        benchmark:
            "<benchmarks>/comparisons.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            config=config_file,
            depends=depends(identity.named),
        shell:
            "adagen compare --config {params.config:q} --out {output.csv:q}"
            " --latex {output.latex:q} {input.metrics:q} 2>&1 | tee {log:q}"

    PAPER += rules.comparisons.output


for figure, inputs in FIGURES.items():
    which = f"{figure}_{{experiment}}" if figure in OF_EACH else figure

    rule:
        name:
            f"figure_{figure}"
        input:
            results=samples_of if figure in OF_EACH else inputs,
        output:
            pdf=shown(figure_file(figure, "pdf"), SHOWN_UNDER[figure], **figure_labels(figure)),
            png=shown(figure_file(figure, "png"), SHOWN_UNDER[figure], **figure_labels(figure)),
        log:
            f"<logs>/figure/{which}.log",
        benchmark:
            f"<benchmarks>/figure/{which}.tsv"
        # Before more samples are drawn: those that are there can then be deleted.
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
            " --png {output.png:q} {input.results:q} 2>&1 | tee {log:q}"

    PAPER += figure_files(figure)


rule figure_grid:
    input:
        samples=rules.sample.output.samples,
    output:
        pdf=ensure("<results>/{experiment}/figures/grid_{run}.pdf", non_empty=True),
        png=report(
            ensure("<results>/{experiment}/figures/grid_{run}.png", non_empty=True),
            caption="../report/grid.rst",
            category="Samples",
            labels=grid_labels,
        ),
    log:
        "<logs>/figure/grid/{experiment}/{run}.log",
    benchmark:
        "<benchmarks>/figure/grid/{experiment}/{run}.tsv"
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
    shell:
        "adagen figure grid --config {params.config:q} --out {output.pdf:q} --png {output.png:q}"
        " {input.samples:q} 2>&1 | tee {log:q}"


PAPER += GRIDS
