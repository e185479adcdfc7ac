# What comes from elsewhere: released files, and the user's own images.


# On the machine where Snakemake runs: compute nodes often have no internet.
rule fetch:
    output:
        # update(): a file that is there is checked and kept, not deleted to be fetched anew.
        file=update("<assets>/{file}"),
    log:
        "<logs>/fetch/{file}.log",
    benchmark:
        "<benchmarks>/fetch/{file}.tsv"
    wildcard_constraints:
        file=one_of(ASSETS),
    # Nearly everything waits for these, and the network is idle otherwise.
    priority: 100
    # Every attempt continues where the one before was cut off.
    retries: 3
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=1440,
        gpu=0,
        # Servers slow down those who ask for everything at once; the profile says how many.
        downloads=1,
    params:
        config=config_file,
        name=asset_name,
    shell:
        "adagen fetch {params.name:q} --config {params.config:q} 2>&1 | tee {log:q}"


# The images can't be outputs, and a folder of a million files is no good input: this names them all.
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
