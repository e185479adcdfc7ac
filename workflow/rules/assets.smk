# Files that no rule makes: released ones are fetched, the user's images are listed.


# A local rule, because compute nodes often have no internet.
rule fetch:
    output:
        # A link: Snakemake deletes outputs, and the file itself may be the user's, or other runs'.
        link=f"<resources>/{RELEASED}/{{file}}",
    log:
        "<logs>/fetch/{file}.log",
    benchmark:
        "<benchmarks>/fetch/{file}.tsv"
    wildcard_constraints:
        file=one_of(ASSETS),
    # Nearly all jobs wait for these files.
    priority: 100
    # Every attempt goes on where the one before was interrupted.
    retries: 3
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=1440,
        gpu=0,
        # Servers slow down whoever downloads too much at once; the profile sets the limit.
        downloads=1,
    params:
        config=config_file,
        name=asset_name,
        target=asset_target,
    shell:
        "adagen fetch {params.name:q} --config {params.config:q} 2>&1 | tee {log:q}; "
        "ln -s {params.target:q} {output.link:q}"


# A list of the images. They can't be outputs, and a folder of a million files makes a slow input.
rule dataset:
    input:
        sources=dataset_sources,
    output:
        inventory=ensure("<resources>/dataset.json", non_empty=True),
    log:
        "<logs>/dataset.log",
    benchmark:
        "<benchmarks>/dataset.tsv"
    priority: 90
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=0,
    params:
        config=config_file,
        depends=depends(identity.dataset),
    shell:
        "adagen dataset --config {params.config:q} --out {output.inventory:q}" " 2>&1 | tee {log:q}"
