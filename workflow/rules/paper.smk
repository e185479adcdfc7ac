# The table and the figures, as they stand in a paper and in the report.


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


for figure, inputs in FIGURES.items():

    rule:
        name:
            f"figure_{figure}"
        input:
            results=inputs,
        output:
            pdf=report(
                ensure(f"<results>/figures/{figure}.pdf", non_empty=True),
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels={"figure": figure, "format": "pdf"},
            ),
            png=report(
                ensure(f"<results>/figures/{figure}.png", non_empty=True),
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels={"figure": figure, "format": "png"},
            ),
        log:
            f"<logs>/figure/{figure}.log",
        benchmark:
            f"<benchmarks>/figure/{figure}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
            gpu=0,
        params:
            config=config_file,
            depends={"name": CONFIG.name},
            kind=figure,
        shell:
            "adagen figure {params.kind:q} --config {params.config:q} --out {output.pdf:q}"
            " --png {output.png:q} {input.results:q} 2>&1 | tee {log:q}"
