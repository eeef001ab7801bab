"""
Needs: datasets, and features.h5 for initializers that draw from a source. Makes: how strongly each convolution of the
study's networks responds before training, of each dataset and initializer at the first seed.
"""

FIRST_RUNS = [
    run for run in TRAININGS.below("initialization/runs") if TRAININGS[run].seed == CONFIG.initialization.seeds[0]
]


rule measure_activations:
    input:
        dataset=TRAININGS.of("dataset_file"),
        features=TRAININGS.of("features_file"),
        library=library("measure_activations.py"),
        definitions=TRAININGS.of("definitions"),
    output:
        activations=f"{RESULTS}/{{training}}/activations.csv",
    log:
        f"{LOGS}/measure_activations/{{training}}.log",
    wildcard_constraints:
        training="initialization/runs/.+",
    conda:
        TORCH
    threads: CONFIG.threads
    resources:
        gpu=GPU,
        mem_mb=growing(PLAN.megabytes_of(TRAININGS)),
        runtime=growing(60),
    params:
        run=TRAININGS.of("run"),
        start=TRAININGS.of("start"),
        images=TRAININGS.of("images"),
        split=TRAININGS.of("split"),
        device=DEVICE,
    message:
        "Measure the activations of {wildcards.training}"
    script:
        "../../scripts/measure_activations.py"


rule gather_activations:
    input:
        activations=expand(rules.measure_activations.output, training=FIRST_RUNS),
        library=library("gather_activations.py"),
    output:
        activations=f"{RESULTS}/initialization/activations.csv",
    log:
        f"{LOGS}/gather_activations.log",
    conda:
        TABLES
    message:
        "Gather the activations before training"
    script:
        "../../scripts/gather_activations.py"
