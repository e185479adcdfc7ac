# The dial between fidelity and diversity, and the classical one, guidance: samples from end to end,
# what the rewards say of them, tables and figures.


if dial_runs(CONFIG):

    rule blend:
        input:
            generator=generator_file,
            policy="<results>/{experiment}/policy/adagen_seed{seed}.safetensors",
            faithful="<results>/{experiment}/policy/faithful_seed{seed}.safetensors",
        output:
            samples=kept_if_small(
                directory("<results>/{experiment}/samples/dial{fidelity}_seed{seed}")
            ),
        log:
            "<logs>/blend/{experiment}/dial{fidelity}_seed{seed}.log",
        benchmark:
            "<benchmarks>/blend/{experiment}/dial{fidelity}_seed{seed}.tsv"
        wildcard_constraints:
            fidelity=one_of(f"{x:g}" for x in CONFIG.curves.fidelity.points),
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
            checkpoint=resume_folder,
        shell:
            "adagen sample --config {params.config:q} --experiment {wildcards.experiment:q}"
            " --generator {input.generator:q} --policy {input.policy:q} --method adagen"
            " --faithful {input.faithful:q} --fidelity {wildcards.fidelity:q}"
            " --out {output.samples:q} --checkpoint {params.checkpoint:q} 2>&1 | tee {log:q}"

    # The rewards of the dial's training judge both dials.
    rule judge:
        input:
            generator=generator_file,
            features=rules.reward_features.output.features,
            reward="<results>/{experiment}/policy/adagen_seed{seed}.reward.safetensors",
            preference=rules.preference.output.preference,
            sources=images,
            samples=judged_samples,
        output:
            judgement=ensure("<results>/{experiment}/judged/adagen_seed{seed}.json", non_empty=True),
        log:
            "<logs>/judge/{experiment}/adagen_seed{seed}.log",
        benchmark:
            "<benchmarks>/judge/{experiment}/adagen_seed{seed}.tsv"
        priority: 25
        conda:
            "../../environment.yml"
        threads: CORES
        resources:
            mem_mb=memory("evaluate"),
            runtime=minutes("evaluate"),
            gpu=GPU,
        params:
            config=config_file,
            depends=depends(identity.judge, "experiment"),
        shell:
            "adagen judge --config {params.config:q} --experiment {wildcards.experiment:q}"
            " --seed {wildcards.seed:q} --generator {input.generator:q}"
            " --features {input.features:q} --reward-state {input.reward:q}"
            " --preference {input.preference:q} --out {output.judgement:q} {input.samples:q}"
            " 2>&1 | tee {log:q}"


JUDGED = expand(
    "<results>/{experiment}/judged/adagen_seed{seed}.json",
    experiment=[name for name in CONFIG.experiments if dial_runs(CONFIG, [name])],
    seed=CONFIG.training_seeds,
)
DIALS = {"fidelity": dial_runs(CONFIG), "guidance": guidance_runs(CONFIG)}
DIALS = {dial: runs for dial, runs in DIALS.items() if runs}


for dial, runs in DIALS.items():

    rule:
        name:
            f"{dial}_table"
        input:
            metrics=expand_runs(METRICS, runs),
            judged=JUDGED,
        output:
            csv=shown(f"<results>/tables/{dial}.csv", "Dial"),
            latex=shown(f"<results>/tables/{dial}.tex", "Dial"),
        log:
            f"<logs>/{dial}.log",
        benchmark:
            f"<benchmarks>/{dial}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            config=config_file,
            depends=depends(partial(identity.curve, name=dial)),
            command=dial,
            judged=judged_options,
        shell:
            "adagen {params.command} --config {params.config:q} --out {output.csv:q}"
            " --latex {output.latex:q} {params.judged:q} {input.metrics:q} 2>&1 | tee {log:q}"

    rule:
        name:
            dial
        input:
            f"<results>/tables/{dial}.csv",
            f"<results>/tables/{dial}.tex",
        localrule: True


TABLES = expand("<results>/tables/{dial}.csv", dial=DIALS)
SHEETS = expand("<results>/tables/{dial}.tex", dial=DIALS)
DIAL_FIGURES = {
    "dial": rules.table.output.csv,
    "dial_strip": [path for runs in DIALS.values() for path in expand_runs(SAMPLES, runs)],
}


for figure, others in DIAL_FIGURES.items():

    rule:
        name:
            f"figure_{figure}"
        input:
            tables=TABLES,
            others=others,
        output:
            pdf=shown(f"<results>/figures/{figure}.pdf", "Dial"),
            png=shown(f"<results>/figures/{figure}.png", "Dial"),
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
            " --png {output.png:q} {input.tables:q} {input.others:q} 2>&1 | tee {log:q}"


DRAWN = expand("<results>/figures/{figure}.{suffix}", figure=DIAL_FIGURES, suffix=("pdf", "png"))
PAPER += [*TABLES, *SHEETS, *DRAWN]


rule dial:
    input:
        TABLES,
        SHEETS,
        DRAWN,
    localrule: True
