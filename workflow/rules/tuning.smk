"""
Needs: datasets, and features.h5 for initializers that draw from a source. Makes: the learning rate of each dataset and
initializer, chosen by trainings with seeds of their own, and a table of these trainings.
"""

TUNINGS = PLAN.tunings
TUNING_RUNS = TRAININGS.below("initialization/tuning")


use rule train as tune with:
    output:
        metrics=f"{RESULTS}/{{training}}/metrics.csv",
        summary=f"{RESULTS}/{{training}}/summary.json",
    log:
        f"{LOGS}/tune/{{training}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tune/{{training}}.tsv"
    wildcard_constraints:
        training="initialization/tuning/.+",


# A checkpoint: Snakemake looks only afterwards whether the choice has changed, and trains again only where it has.
checkpoint choose_learning_rate:
    input:
        metrics=expand(rules.tune.output.metrics, training=TUNINGS.of("places")),
        summaries=expand(rules.tune.output.summary, training=TUNINGS.of("places")),
        library=library("choose_learning_rate.py"),
    output:
        chosen=f"{RESULTS}/{{tuning}}/chosen.json",
    log:
        f"{LOGS}/choose_learning_rate/{{tuning}}.log",
    wildcard_constraints:
        tuning="initialization/tuning/[^/]+/[^/]+",
    conda:
        TABLES
    message:
        "Choose a learning rate for {wildcards.tuning}"
    script:
        "../../scripts/choose_learning_rate.py"


rule gather_tuning:
    input:
        metrics=expand(rules.tune.output.metrics, training=TUNING_RUNS),
        summaries=expand(rules.tune.output.summary, training=TUNING_RUNS),
        chosen=expand(f"{RESULTS}/{{tuning}}/chosen.json", tuning=TUNINGS),
        library=library("gather_tuning.py"),
    output:
        tuning=f"{RESULTS}/initialization/tuning/tuning.csv",
    log:
        f"{LOGS}/gather_tuning.log",
    conda:
        TABLES
    message:
        "Gather the trainings that tried learning rates"
    script:
        "../../scripts/gather_tuning.py"
