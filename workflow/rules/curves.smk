# Quality against compute: numbers of steps, and candidates; each a table, a figure and a target.


# What the figure of each curve is drawn from, and where the report shows it.
CURVES = {}
CATEGORIES = {"steps": "Steps", "candidates": "Refinement"}


if CONFIG.budgets:

    rule steps_table:
        input:
            plain=expand_runs(METRICS, steps_runs(CONFIG)),
            refined=expand_runs(METRICS, refined_runs(CONFIG, CONFIG.curves.steps)),
        output:
            csv=shown("<results>/tables/steps.csv", "Steps"),
            latex=shown("<results>/tables/steps.tex", "Steps"),
        log:
            "<logs>/steps.log",
        benchmark:
            "<benchmarks>/steps.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            config=config_file,
            depends=depends(identity.steps),
        shell:
            "adagen steps --config {params.config:q} --out {output.csv:q} --latex {output.latex:q}"
            " {input.plain:q} {input.refined:q} 2>&1 | tee {log:q}"

    PAPER += rules.steps_table.output
    CURVES["steps"] = rules.steps_table.output.csv


if refined_runs(CONFIG):

    CURVES["candidates"] = rules.refinement_table.output.csv


for figure, table in CURVES.items():

    rule:
        name:
            f"figure_{figure}"
        input:
            table=table,
        output:
            pdf=shown(f"<results>/figures/{figure}.pdf", CATEGORIES[figure]),
            png=shown(f"<results>/figures/{figure}.png", CATEGORIES[figure]),
        log:
            f"<logs>/figure/{figure}.log",
        benchmark:
            f"<benchmarks>/figure/{figure}.tsv"
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
            " --png {output.png:q} {input.table:q} 2>&1 | tee {log:q}"


PAPER += [f"<results>/figures/{curve}.{suffix}" for curve in CURVES for suffix in ("pdf", "png")]


if "steps" in CURVES:

    rule steps:
        input:
            rules.steps_table.output,
            rules.figure_steps.output,
        localrule: True


if "candidates" in CURVES:

    rule candidates:
        input:
            rules.refinement_table.output,
            rules.figure_candidates.output,
        localrule: True
