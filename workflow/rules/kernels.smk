"""
Needs: tasks, and the machines that learn them. Makes: their accuracies, with a table and figures, and pictures of the
features that they have learned.
"""

MACHINE_RUNS, MACHINES = PLAN.machine_runs, MachineInputs(PLAN)
KERNELS = f"{RESULTS}/kernels"


rule run_machine:
    input:
        dataset=MACHINE_RUNS.of("dataset_file"),
        library=library("run_machine.py"),
        definitions=MACHINE_RUNS.of("definitions"),
    output:
        scores=f"{RESULTS}/{{machine_run}}/scores.csv",
        history=f"{RESULTS}/{{machine_run}}/history.csv",
        learned=f"{RESULTS}/{{machine_run}}/learned.h5",
    log:
        f"{LOGS}/run_machine/{{machine_run}}.log",
    wildcard_constraints:
        machine_run="kernels/.+",
    conda:
        TORCH
    threads: CONFIG.threads
    resources:
        gpu=GPU,
        mem_mb=growing(PLAN.megabytes_of(MACHINE_RUNS)),
        runtime=growing(240),
    params:
        run=MACHINE_RUNS.of("run"),
        task=MACHINE_RUNS.of("task"),
        machine=MACHINE_RUNS.of("machine"),
        memory=PLAN.memory,
        device=DEVICE,
    message:
        "Run {wildcards.machine_run}"
    script:
        "../../scripts/run_machine.py"


rule tabulate_machines:
    input:
        scores=expand(rules.run_machine.output.scores, machine_run=MACHINE_RUNS),
        library=library("tabulate_machines.py"),
    output:
        tidy=f"{KERNELS}/tidy.csv",
        csv=report(
            f"{KERNELS}/table.csv",
            caption="../report/kernels.rst",
            category="Kernels",
            labels={"what": "Table"},
        ),
        markdown=f"{KERNELS}/table.md",
    log:
        f"{LOGS}/tabulate_machines.log",
    conda:
        TABLES
    params:
        machines=MACHINES.declared,
    message:
        "Make the table of machines"
    script:
        "../../scripts/tabulate_machines.py"


rule draw_machines:
    input:
        tidy=rules.tabulate_machines.output.tidy,
        library=library("draw_machines.py"),
    output:
        png=f"{KERNELS}/{{figure}}.png",
        vector=report(
            f"{KERNELS}/{{figure}}.{CONFIG.figures.vector}",
            caption="../report/kernels.rst",
            category="Kernels",
            labels={"what": "{figure}"},
        ),
    log:
        f"{LOGS}/draw_machines/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(catalogue.names("machines")),
    conda:
        TABLES
    params:
        style=CONFIG.figures.style,
        machines=MACHINES.declared,
    message:
        "Draw machines, {wildcards.figure}"
    script:
        "../../scripts/draw_machines.py"


rule draw_learned:
    input:
        learned=MACHINES.learned,
        library=library("draw_learned.py"),
    output:
        eigenvectors_png=f"{RESULTS}/{{task}}/eigenvectors_seed{{seed}}.png",
        eigenvectors_vector=report(
            f"{RESULTS}/{{task}}/eigenvectors_seed{{seed}}.{CONFIG.figures.vector}",
            caption="../report/kernels.rst",
            category="Kernels",
            labels={"what": "{task}: eigenvectors"},
        ),
        saliency_png=f"{RESULTS}/{{task}}/saliency_seed{{seed}}.png",
        saliency_vector=report(
            f"{RESULTS}/{{task}}/saliency_seed{{seed}}.{CONFIG.figures.vector}",
            caption="../report/kernels.rst",
            category="Kernels",
            labels={"what": "{task}: saliency"},
        ),
    log:
        f"{LOGS}/draw_learned/{{task}}/seed{{seed}}.log",
    wildcard_constraints:
        task="kernels/.+",
    conda:
        TORCH
    params:
        style=CONFIG.figures.style,
        machines=MACHINES.learners,
    message:
        "Draw what machines have learned in {wildcards.task}"
    script:
        "../../scripts/draw_learned.py"


rule kernels:
    input:
        section(PLAN, "kernels"),
        rules.tabulate_machines.output,
        expand(rules.run_machine.output, machine_run=MACHINE_RUNS),
        expand(rules.draw_machines.output, figure=catalogue.names("machines")),
        MACHINES.pictured(rules.draw_learned.output),
    message:
        f"Complete {KERNELS}/"
