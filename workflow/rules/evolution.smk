"""
Needs: trainings with snapshots of their features. Makes: a table and figures of each.
"""

EVOLUTIONS = TRAININGS.below("evolution")


rule tabulate_evolution:
    input:
        evolution=rules.follow_training.output.evolution,
        metrics=rules.follow_training.output.metrics,
        published="results/published/evolution.csv",
        library=library("tabulate_evolution.py"),
    output:
        csv=report(
            f"{RESULTS}/{{training}}/table.csv",
            caption="../report/evolution.rst",
            category="Evolution",
            labels={"what": "{training}: table"},
        ),
        markdown=f"{RESULTS}/{{training}}/table.md",
    log:
        f"{LOGS}/tabulate_evolution/{{training}}.log",
    wildcard_constraints:
        training="evolution/.+",
    conda:
        TABLES
    params:
        network=TRAININGS.of("network"),
        dataset=TRAININGS.of("dataset"),
    message:
        "Make the table of {wildcards.training}"
    script:
        "../../scripts/tabulate_evolution.py"


rule draw_evolution:
    input:
        evolution=rules.follow_training.output.evolution,
        library=library("draw_evolution.py"),
    output:
        png=f"{RESULTS}/{{training}}/{{figure}}.png",
        vector=report(
            f"{RESULTS}/{{training}}/{{figure}}.{CONFIG.figures.vector}",
            caption="../report/evolution.rst",
            category="Evolution",
            labels={"what": "{training}: {figure}"},
        ),
    log:
        f"{LOGS}/draw_evolution/{{training}}/{{figure}}.log",
    wildcard_constraints:
        training="evolution/.+",
        figure="|".join(catalogue.names("evolution")),
    conda:
        TABLES
    params:
        style=CONFIG.figures.style,
    message:
        "Draw {wildcards.figure} of {wildcards.training}"
    script:
        "../../scripts/draw_evolution.py"


rule evolution:
    input:
        section(PLAN, "evolution"),
        expand(rules.follow_training.output, training=EVOLUTIONS),
        expand(rules.tabulate_evolution.output, training=EVOLUTIONS),
        expand(rules.draw_evolution.output, training=EVOLUTIONS, figure=catalogue.names("evolution")),
    message:
        f"Complete {RESULTS}/evolution/"
