"""
Needs: tasks, and the machines that are to learn them. Makes: how accurate they are, with a table and figures, and what they
have learnt to look for.
"""


rule run_machine:
    input:
        dataset=dataset_of_task,
        library=library("run_machine.py"),
    output:
        scores=f"{LEARNT}/{LEARNER}/scores.csv",
        history=f"{LEARNT}/{LEARNER}/history.csv",
        learnt=f"{LEARNT}/{LEARNER}/learnt.h5",
    log:
        f"{LOGS}/run_machine/{LEARNER}.log",
    conda:
        TORCH
    threads: config["threads"]
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=growing(240),
    params:
        task=learning("task"),
        images=learning("images"),
        options=learning("options"),
        memory=MEMORY,
        device=DEVICE,
    message:
        "let {wildcards.machine} learn {wildcards.experiment}: {wildcards.dataset}, noise {wildcards.noise}, seed {wildcards.seed}"
    script:
        "../../scripts/run_machine.py"


rule tabulate_machines:
    input:
        scores=expand(f"{LEARNT}/{{case}}/scores.csv", case=LEARNING),
        library=library("tabulate_machines.py"),
    output:
        tidy=f"{LEARNT}/tidy.csv",
        csv=report(
            f"{LEARNT}/table.csv",
            caption="../report/kernels.rst",
            category="Kernels",
            labels={"what": "Table"},
        ),
        markdown=f"{LEARNT}/table.md",
    log:
        f"{LOGS}/tabulate_machines.log",
    conda:
        TABLES
    message:
        "make the table of kernel machines"
    script:
        "../../scripts/tabulate_machines.py"


rule draw_machines:
    input:
        tidy=rules.tabulate_machines.output.tidy,
        library=library("draw_machines.py"),
    output:
        png=f"{LEARNT}/{{figure}}.png",
        svg=report(
            f"{LEARNT}/{{figure}}.svg",
            caption="../report/kernels.rst",
            category="Kernels",
            labels={"what": "{figure}"},
        ),
    log:
        f"{LOGS}/draw_machines/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(SCORED),
    conda:
        TABLES
    message:
        "draw kernel machines, {wildcards.figure}"
    script:
        "../../scripts/draw_machines.py"


rule draw_learnt:
    input:
        learnt=learners,
        library=library("draw_learnt.py"),
    output:
        eigenvectors_png=f"{LEARNT}/{{experiment}}/{{dataset}}/noise{{noise}}/eigenvectors_seed{{seed}}.png",
        eigenvectors_svg=report(
            f"{LEARNT}/{{experiment}}/{{dataset}}/noise{{noise}}/eigenvectors_seed{{seed}}.svg",
            caption="../report/kernels.rst",
            category="Kernels",
            labels={"what": "{experiment}, {dataset}, noise {noise}: eigenvectors"},
        ),
        looks_png=f"{LEARNT}/{{experiment}}/{{dataset}}/noise{{noise}}/looks_seed{{seed}}.png",
        looks_svg=report(
            f"{LEARNT}/{{experiment}}/{{dataset}}/noise{{noise}}/looks_seed{{seed}}.svg",
            caption="../report/kernels.rst",
            category="Kernels",
            labels={"what": "{experiment}, {dataset}, noise {noise}: what machines look at"},
        ),
    log:
        f"{LOGS}/draw_learnt/{{experiment}}/{{dataset}}/noise{{noise}}/seed{{seed}}.log",
    conda:
        TORCH
    params:
        machines=drawn_machines,
    message:
        "draw what machines have learnt of {wildcards.experiment}: {wildcards.dataset}, noise {wildcards.noise}"
    script:
        "../../scripts/draw_learnt.py"


rule kernels:
    input:
        configured("kernels"),
        rules.tabulate_machines.output,
        expand(rules.draw_machines.output, figure=SCORED),
        pictured_tasks(rules.draw_learnt.output),
