"""
Needs: datasets, and features.h5 for the initializers that draw from it. Makes: metrics.csv and summary.json a run.
"""


rule train:
    input:
        dataset=rules.prepare_dataset.output.dataset,
        features=features_if_needed,
        library=library("train.py"),
    output:
        metrics=f"{RESULTS}/runs/{{dataset}}/{{initializer}}/seed{{seed}}/metrics.csv",
        summary=f"{RESULTS}/runs/{{dataset}}/{{initializer}}/seed{{seed}}/summary.json",
    log:
        f"{LOGS}/train/{{dataset}}/{{initializer}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{dataset}}/{{initializer}}/seed{{seed}}.tsv"
    conda:
        TORCH
    threads: config["threads"]
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        network=NETWORK,
        images=IMAGES,
        covariance=covariance_if_needed,
        protocol=config["training"],
        device=DEVICE,
        compiled=COMPILED,
        # Beside the output, but no output: it outlives a killed job, and the run goes on from it.
        checkpoint=f"{RESULTS}/runs/{{dataset}}/{{initializer}}/seed{{seed}}/checkpoint.pt",
    message:
        "train on {wildcards.dataset} from {wildcards.initializer}, seed {wildcards.seed}"
    script:
        "../../scripts/train.py"
