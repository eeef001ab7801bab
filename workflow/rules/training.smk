"""
Needs: datasets, and features.h5 for initializers that draw from a source. Makes: metrics.csv and summary.json of each
training.

One rule serves all trainings: a training is looked up by its place below the results, which is the wildcard. The other
rules differ from it only in the outputs that they add.
"""

TRAININGS = PLAN.trainings
KEPT = {"weights": f"{RESULTS}/{{training}}/weights.pt"} if PLAN.keeps_weights else {}


rule train:
    input:
        dataset=TRAININGS.of("dataset_file"),
        features=TRAININGS.of("features_file"),
        chosen=chosen_rate,
        library=library("train.py"),
        definitions=TRAININGS.of("definitions"),
    output:
        **KEPT,
        metrics=f"{RESULTS}/{{training}}/metrics.csv",
        summary=f"{RESULTS}/{{training}}/summary.json",
    log:
        f"{LOGS}/train/{{training}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{training}}.tsv"
    wildcard_constraints:
        training="initialization/runs/.+",
    conda:
        TORCH
    threads: CONFIG.threads
    resources:
        gpu=GPU,
        mem_mb=growing(PLAN.megabytes_of(TRAININGS)),
        runtime=growing(480),
    params:
        run=TRAININGS.of("run"),
        start=TRAININGS.of("start"),
        images=TRAININGS.of("images"),
        training=TRAININGS.of("training"),
        parts=TRAININGS.of("parts"),
        split=TRAININGS.of("split"),
        evaluate=TRAININGS.of("evaluate"),
        keep_weights=TRAININGS.of("keep_weights"),
        snapshots=TRAININGS.of("snapshots"),
        title=TRAININGS.of("title"),
        device=DEVICE,
        compiled=f"{RESULTS}/compiled",
        # Not an output, which Snakemake would remove when a job is killed: the next attempt resumes from it.
        checkpoint=f"{RESULTS}/{{training}}/checkpoint.pt",
    message:
        "Train {wildcards.training}"
    script:
        "../../scripts/train.py"


use rule train as train_source with:
    output:
        metrics=f"{RESULTS}/{{training}}/metrics.csv",
        summary=f"{RESULTS}/{{training}}/summary.json",
        weights=f"{RESULTS}/{{training}}/weights.pt",
    log:
        f"{LOGS}/train_source/{{training}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_source/{{training}}.tsv"
    wildcard_constraints:
        training="sources/.+",


use rule train as train_network with:
    output:
        metrics=f"{RESULTS}/{{training}}/metrics.csv",
        summary=f"{RESULTS}/{{training}}/summary.json",
        weights=f"{RESULTS}/{{training}}/weights.pt",
    log:
        f"{LOGS}/train_network/{{training}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_network/{{training}}.tsv"
    wildcard_constraints:
        training="ansatz/.+",


use rule train as follow_training with:
    output:
        metrics=f"{RESULTS}/{{training}}/metrics.csv",
        summary=f"{RESULTS}/{{training}}/summary.json",
        evolution=f"{RESULTS}/{{training}}/evolution.h5",
    log:
        f"{LOGS}/follow_training/{{training}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/follow_training/{{training}}.tsv"
    wildcard_constraints:
        training="evolution/.+",
