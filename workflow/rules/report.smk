"""
Needs: all runs. Makes: tidy.csv, resources.csv, the results table and the figures, each with its caption for the report.
"""


rule gather_runs:
    input:
        metrics=runs(rules.train.output.metrics),
        summaries=runs(rules.train.output.summary),
        library=library("gather_runs.py"),
    output:
        tidy=f"{RESULTS}/tidy.csv",
        runs=f"{RESULTS}/runs.csv",
        resources=f"{RESULTS}/resources.csv",
    log:
        f"{LOGS}/gather_runs.log",
    conda:
        TABLES
    params:
        benchmarks=runs(rules.train.benchmark),  # no input: a lost one is not to train a run again
    message:
        "gather the runs"
    script:
        "../../scripts/gather_runs.py"


rule tabulate_runs:
    input:
        runs=rules.gather_runs.output.runs,
        resources=rules.gather_runs.output.resources,
        published=PUBLISHED,
        library=library("tabulate_runs.py"),
    output:
        csv=report(
            f"{RESULTS}/table.csv",
            caption="../report/table.rst",
            category="Table",
            labels={"what": "Table"},
        ),
        markdown=f"{RESULTS}/table.md",
        latex=f"{RESULTS}/table.tex",
    log:
        f"{LOGS}/tabulate_runs.log",
    conda:
        TABLES
    message:
        "make the results table"
    script:
        "../../scripts/tabulate_runs.py"


rule draw_curves:
    input:
        tidy=rules.gather_runs.output.tidy,
        library=library("draw_curves.py"),
    output:
        png=f"{RESULTS}/figures/{{figure}}.png",
        svg=report(
            f"{RESULTS}/figures/{{figure}}.svg",
            caption="../report/curves.rst",
            category="Figures",
            labels={"what": "{figure}"},
        ),
    log:
        f"{LOGS}/draw_curves/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(FIGURES),
    conda:
        TABLES
    message:
        "draw {wildcards.figure} over epochs"
    script:
        "../../scripts/draw_curves.py"
