# Everything that a paper shows, the ablation too, and a page of it. After all rules that add to PAPER.


rule paper:
    input:
        files=PAPER,
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
        depends=depends(identity.named),
        captions=captions_folder,
        options=run_options,
    shell:
        "adagen paper --config {params.config:q} --captions {params.captions:q}"
        " --options {params.options:q} --out {output.page:q} {input.files:q} 2>&1 | tee {log:q}"
