# The tables and the figures, as they stand in a paper and in the report. They are those of
# adagen/paper/catalogue.py and adagen/paper/figures/__init__.py that the configuration has.


for table in TABLES.values():

    rule:
        name:
            f"table_{table.name}"
        input:
            metrics=expand_runs(METRICS, table.runs(CONFIG)),
            policies=policies_behind(table),
            judged=JUDGED if "judged" in table.takes else [],
        output:
            csv=shown(f"<results>/tables/{table.name}.csv", table.category, table.caption),
            latex=shown(f"<results>/tables/{table.name}.tex", table.category, table.caption),
            settings=ensure(f"<results>/tables/{table.name}.settings.json", non_empty=True),
        log:
            f"<logs>/table/{table.name}.log",
        benchmark:
            f"<benchmarks>/table/{table.name}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            config=config_file,
            depends=depends(table.depends),
            name=table.name,
            lost=lost_behind(table),
            judged=judged_options,
        shell:
            "adagen table {params.name:q} --config {params.config:q} --out {output.csv:q}"
            " --latex {output.latex:q} {params.judged:q} {input.metrics:q} 2>&1 | tee {log:q}"


for figure in FIGURES.values():
    which = f"{figure.name}_{{experiment}}" if figure.name in OF_EACH else figure.name
    labels = figure_labels(figure.name)

    rule:
        name:
            f"figure_{figure.name}"
        input:
            tables=tables_drawn(figure),
            results=runs_drawn(figure),
            policies=policies_behind(figure),
        output:
            pdf=shown(figure_file(figure.name, "pdf"), figure.category, **labels),
            png=shown(figure_file(figure.name, "png"), figure.category, **labels),
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
            depends=depends(named),
            kind=figure.name,
            lost=lost_behind(figure),
        shell:
            "adagen figure {params.kind:q} --config {params.config:q} --out {output.pdf:q}"
            " --png {output.png:q} {input.tables:q} {input.results:q} 2>&1 | tee {log:q}"


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
        depends=depends(named),
    shell:
        "adagen figure grid --config {params.config:q} --out {output.pdf:q} --png {output.png:q}"
        " {input.samples:q} 2>&1 | tee {log:q}"


# Everything that a paper shows, ablation and rivals too, and a page of it.
rule paper:
    input:
        files=flatten(SHOWN.values()),
        captions=sorted(Path("workflow/report").glob("*.rst")),
    output:
        page=ensure("<results>/paper.md", non_empty=True),
    log:
        "<logs>/paper.log",
    benchmark:
        "<benchmarks>/paper.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        config=config_file,
        depends=depends(named),
        captions=captions_folder,
        options=run_options,
    shell:
        "adagen paper --config {params.config:q} --captions {params.captions:q}"
        " --options {params.options:q} --out {output.page:q} {input.files:q} 2>&1 | tee {log:q}"


# Targets: `snakemake refinement`, `steps`, `stopping`, `dial`, `rivals`, `ablation`, either table of a dial.
TARGETS = {
    table.category.lower(): SHOWN[table.category]
    for table in TABLES.values()
    if table.category != "Results"
}
TARGETS |= {table: table_files(table) for table in ("fidelity", "guidance") if table in TABLES}


for target, files in TARGETS.items():

    rule:
        name:
            target
        input:
            files,
        localrule: True
