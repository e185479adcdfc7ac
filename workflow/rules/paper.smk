# The tables and the figures, as they stand in a paper and in the report.


rule table:
    input:
        metrics=FIGURES["fid"],
    output:
        csv=report(
            ensure("<results>/tables/fid.csv", non_empty=True),
            caption="../report/table.rst",
            category="Table",
            labels={"table": "fid", "format": "csv"},
        ),
        latex=report(
            ensure("<results>/tables/fid.tex", non_empty=True),
            caption="../report/table.rst",
            category="Table",
            labels={"table": "fid", "format": "tex"},
        ),
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
        depends={"name": CONFIG.name},
    shell:
        "adagen table --config {params.config:q} --out {output.csv:q} --latex {output.latex:q}"
        " {input.metrics:q} 2>&1 | tee {log:q}"


if "comparisons" in FIGURES:

    rule comparisons:
        input:
            metrics=FIGURES["comparisons"],
        output:
            csv=report(
                ensure("<results>/tables/comparisons.csv", non_empty=True),
                caption="../report/comparisons.rst",
                category="Table",
                labels={"table": "comparisons", "format": "csv"},
            ),
            latex=report(
                ensure("<results>/tables/comparisons.tex", non_empty=True),
                caption="../report/comparisons.rst",
                category="Table",
                labels={"table": "comparisons", "format": "tex"},
            ),
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
            depends={"name": CONFIG.name},
        shell:
            "adagen compare --config {params.config:q} --out {output.csv:q}"
            " --latex {output.latex:q} {input.metrics:q} 2>&1 | tee {log:q}"


for figure, inputs in FIGURES.items():
    which = f"{figure}_{{experiment}}" if figure in OF_EACH else figure

    rule:
        name:
            f"figure_{figure}"
        input:
            results=samples_of if figure in OF_EACH else inputs,
        output:
            pdf=report(
                ensure(figure_file(figure, "pdf"), non_empty=True),
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels=figure_labels(figure, "pdf"),
            ),
            png=report(
                ensure(figure_file(figure, "png"), non_empty=True),
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels=figure_labels(figure, "png"),
            ),
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
            depends={"name": CONFIG.name},
            kind=figure,
        shell:
            "adagen figure {params.kind:q} --config {params.config:q} --out {output.pdf:q}"
            " --png {output.png:q} {input.results:q} 2>&1 | tee {log:q}"
