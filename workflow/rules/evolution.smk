"""
Needs: networks and datasets to follow. Makes: for each of them evolution.h5, what was seen of its features while it trained,
with a table and figures.
"""


rule train_evolution:
    input:
        dataset=dataset_of_evolution,
        library=library("train_evolution.py"),
    output:
        evolution=f"{EVOLVED}/{{experiment}}/evolution.h5",
        metrics=f"{EVOLVED}/{{experiment}}/metrics.csv",
        summary=f"{EVOLVED}/{{experiment}}/summary.json",
    log:
        f"{LOGS}/train_evolution/{{experiment}}.log",
    conda:
        TORCH
    threads: config["threads"]
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        network=evolving_network,
        images=evolving_images,
        initializer=evolving_start,
        protocol=evolving("training"),
        seed=evolving("seed"),
        layers=evolving("layers"),
        steps=evolving("steps"),
        image=evolving("image"),
        sample=config["feature_matrices"]["images"],
        estimator=ESTIMATOR,
        device=DEVICE,
        compiled=COMPILED,
        checkpoint=f"{EVOLVED}/{{experiment}}/checkpoint.pt",
    message:
        "train {wildcards.experiment}, and follow its features"
    script:
        "../../scripts/train_evolution.py"


rule tabulate_evolution:
    input:
        evolution=rules.train_evolution.output.evolution,
        metrics=rules.train_evolution.output.metrics,
        published="results/published/evolution.csv",
        library=library("tabulate_evolution.py"),
    output:
        csv=report(
            f"{EVOLVED}/{{experiment}}/table.csv",
            caption="../report/evolution.rst",
            category="Evolution",
            labels={"what": "{experiment}: table"},
        ),
        markdown=f"{EVOLVED}/{{experiment}}/table.md",
    log:
        f"{LOGS}/tabulate_evolution/{{experiment}}.log",
    conda:
        TABLES
    params:
        network=evolving_network,
        dataset=evolving("dataset"),
    message:
        "make the table of {wildcards.experiment}"
    script:
        "../../scripts/tabulate_evolution.py"


rule draw_evolution:
    input:
        evolution=rules.train_evolution.output.evolution,
        library=library("draw_evolution.py"),
    output:
        png=f"{EVOLVED}/{{experiment}}/{{figure}}.png",
        svg=report(
            f"{EVOLVED}/{{experiment}}/{{figure}}.svg",
            caption="../report/evolution.rst",
            category="Evolution",
            labels={"what": "{experiment}: {figure}"},
        ),
    log:
        f"{LOGS}/draw_evolution/{{experiment}}/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(STAGES),
    conda:
        TABLES
    message:
        "draw {wildcards.figure} of {wildcards.experiment} over its training"
    script:
        "../../scripts/draw_evolution.py"


rule evolution:
    input:
        configured("evolution"),
        expand(rules.tabulate_evolution.output, experiment=EVOLUTION),
        expand(rules.draw_evolution.output, experiment=EVOLUTION, figure=STAGES),
