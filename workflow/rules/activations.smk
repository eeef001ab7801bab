"""
Needs: datasets, and features.h5 for initializers that draw from a source. Makes: how strongly each convolution of the
study's networks responds before training, as a table and a figure; of each dataset and initializer at the first seed.
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
        network=TRAININGS.of("network"),
        images=TRAININGS.of("images"),
        initializer=TRAININGS.of("initializer"),
        head=TRAININGS.of("head"),
        seed=TRAININGS.of("seed"),
        split=TRAININGS.of("split"),
        device=DEVICE,
    message:
        "Measure the activations of {wildcards.training}"
    script:
        "../../scripts/measure_activations.py"


rule draw_activations:
    input:
        activations=expand(rules.measure_activations.output, training=FIRST_RUNS),
        library=library("draw_activations.py"),
    output:
        csv=f"{RESULTS}/initialization/activations.csv",
        png=f"{RESULTS}/initialization/figures/activations.png",
        svg=report(
            f"{RESULTS}/initialization/figures/activations.svg",
            caption="../report/activations.rst",
            category="Initialization",
            labels={"what": "activations"},
        ),
    log:
        f"{LOGS}/draw_activations.log",
    conda:
        TABLES
    message:
        "Draw the activations before training"
    script:
        "../../scripts/draw_activations.py"
