"""
Needs: the runs of the study. Makes: tidy.csv, resources.csv, the tables of accuracies, of the speed of learning and of
sources and datasets, and figures over epochs and of the comparison.
"""

STUDY = f"{RESULTS}/initialization"
RUNS = TRAININGS.below("initialization/runs")


rule gather_runs:
    input:
        metrics=expand(rules.train.output.metrics, training=RUNS),
        summaries=expand(rules.train.output.summary, training=RUNS),
        library=library("gather_runs.py"),
    output:
        tidy=f"{STUDY}/tidy.csv",
        runs=f"{STUDY}/runs.csv",
        resources=f"{STUDY}/resources.csv",
    log:
        f"{LOGS}/gather_runs.log",
    conda:
        TABLES
    params:
        # No inputs: one that was deleted must not retrain a run.
        benchmarks=expand(rules.train.benchmark, training=RUNS),
        datasets=expand(rules.prepare_dataset.output.dataset, dataset=CONFIG.study_datasets),
    message:
        "Gather the runs"
    script:
        "../../scripts/gather_runs.py"


rule tabulate_initialization:
    input:
        runs=rules.gather_runs.output.runs,
        resources=rules.gather_runs.output.resources,
        tuning=rules.gather_tuning.output.tuning if TUNINGS else [],
        published="results/published/initialization_study.csv",
        library=library("tabulate_initialization.py"),
    output:
        html=report(
            f"{STUDY}/table.html",
            caption="../report/table.rst",
            category="Initialization",
            labels={"what": "accuracies"},  # the first by the alphabet
        ),
        csv=f"{STUDY}/table.csv",
        ranking=f"{STUDY}/ranking.csv",
        markdown=f"{STUDY}/table.md",
        latex=f"{STUDY}/table.tex",
    log:
        f"{LOGS}/tabulate_initialization.log",
    conda:
        TABLES
    params:
        baseline=PLAN.baseline,
        as_published=PLAN.as_published,
    message:
        "Make the table of initializers"
    script:
        "../../scripts/tabulate_initialization.py"


rule tabulate_speed:
    input:
        tidy=rules.gather_runs.output.tidy,
        library=library("tabulate_speed.py"),
    output:
        csv=f"{STUDY}/speed.csv",
        markdown=f"{STUDY}/speed.md",
    log:
        f"{LOGS}/tabulate_speed.log",
    conda:
        TABLES
    params:
        baseline=PLAN.baseline,
    message:
        "Make the table of the speed of learning"
    script:
        "../../scripts/tabulate_speed.py"


rule tabulate_transfer:
    input:
        table=rules.tabulate_initialization.output.csv,
        speed=rules.tabulate_speed.output.csv,
        library=library("tabulate_transfer.py"),
    output:
        csv=f"{STUDY}/transfer.csv",
        markdown=f"{STUDY}/transfer.md",
    log:
        f"{LOGS}/tabulate_transfer.log",
    conda:
        TABLES
    params:
        drawn=SOURCES.transfer,
    message:
        "Make the table of sources and datasets"
    script:
        "../../scripts/tabulate_transfer.py"


DRAWN_FROM = {
    "differences": rules.tabulate_initialization.output.csv,
    "speed": rules.tabulate_speed.output.csv,
    "activations": rules.gather_activations.output.activations,
    **({"learning_rates": rules.gather_tuning.output.tuning} if TUNINGS else {}),
    **({"transfer": rules.tabulate_transfer.output.csv} if SOURCES.transfer else {}),
}  # figure -> its table


rule draw_comparison:
    input:
        table=lambda wildcards: DRAWN_FROM[wildcards.figure],
        library=library("draw_comparison.py"),
    output:
        png=f"{STUDY}/figures/{{figure}}.png",
        vector=report(
            f"{STUDY}/figures/{{figure}}.{CONFIG.figures.vector}",
            caption="../report/comparison.rst",
            category="Initialization",
            labels={"what": "{figure}"},
        ),
    log:
        f"{LOGS}/draw_comparison/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(DRAWN_FROM),
    conda:
        TABLES
    params:
        style=CONFIG.figures.style,
    message:
        "Draw {wildcards.figure}"
    script:
        "../../scripts/draw_comparison.py"


rule draw_curves:
    input:
        tidy=rules.gather_runs.output.tidy,
        library=library("draw_curves.py"),
    output:
        png=f"{STUDY}/figures/{{figure}}.png",
        vector=report(
            f"{STUDY}/figures/{{figure}}.{CONFIG.figures.vector}",
            caption="../report/curves.rst",
            category="Initialization",
            labels={"what": "over epochs: {figure}"},
        ),
    log:
        f"{LOGS}/draw_curves/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(PLAN.curves),
    conda:
        TABLES
    params:
        style=CONFIG.figures.style,
    message:
        "Draw {wildcards.figure} over epochs"
    script:
        "../../scripts/draw_curves.py"


rule initialization:
    input:
        section(PLAN, "initialization"),
        # every result, not only the last ones, so that missing ones in between are made again
        expand(rules.train.output, training=RUNS),
        rules.gather_tuning.output if TUNINGS else [],
        rules.gather_runs.output,
        rules.tabulate_initialization.output,
        rules.tabulate_speed.output,
        rules.tabulate_transfer.output if SOURCES.transfer else [],
        expand(rules.draw_comparison.output, figure=DRAWN_FROM),
        expand(rules.draw_curves.output, figure=PLAN.curves),
        expand(rules.match_layers.output, source=SOURCES.direct),
        rules.describe_sources.output if SOURCES else [],
        rules.tabulate_generations.output if SOURCES.chains else [],
        expand(rules.draw_sources.output, figure=OF_SOURCES),
    message:
        f"Complete {STUDY}/"
