"""
Needs: the tables of all sections, and a few of their pictures. Makes: the page of results, one HTML file.
"""

FRAME = multiext("scripts/ansatz/reporting/page/page", ".html", ".css", ".js")
SHOWN = {
    "initialization": {
        "table": rules.tabulate_initialization.output.csv,
        "tidy": rules.gather_runs.output.tidy,
        "runs": rules.gather_runs.output.runs,
        "resources": rules.gather_runs.output.resources,
        "summaries": expand(rules.train.output.summary, training=RUNS),
        "speed": rules.tabulate_speed.output.csv,
        "activations": rules.gather_activations.output.activations,
        **({"tuning": rules.gather_tuning.output.tuning} if TUNINGS else {}),
        **({"transfer": rules.tabulate_transfer.output.csv} if SOURCES.transfer else {}),
        **({"spectra": rules.describe_sources.output.spectra} if SOURCES else {}),
        **({"alignment": rules.describe_sources.output.alignment} if len(SOURCES) > 1 else {}),
        **({"generations": list(rules.tabulate_generations.output)} if SOURCES.chains else {}),
    },
    "ansatz": {
        "correlations": rules.tabulate_ansatz.output.tidy,
        "ansatz_pictures": [
            *expand(rules.draw_first_layer.output.eigenvectors_png, network=PICTURED),
            *expand(rules.draw_first_layer.output.matrices_png, network=PICTURED),
            *expand(rules.draw_saliency.output.png, network=PICTURED, picture=PICTURES),
        ],
    },
    "evolution": {"evolutions": expand(rules.follow_training.output.evolution, training=EVOLUTIONS)},
    "kernels": {
        "scores": rules.tabulate_machines.output.tidy,
        "machine_pictures": MACHINES.pictured(
            [rules.draw_learned.output.eigenvectors_png, rules.draw_learned.output.saliency_png]
        ),
    },
}  # section -> what the page shows of it


PAGE = f"{RESULTS}/index.html"


rule draw_page:
    input:
        **{name: files for section in CONFIG.sections for name, files in SHOWN[section].items()},
        frame=FRAME,
        library=library("draw_page.py"),
    output:
        page=report(
            PAGE,
            caption="../report/page.rst",
            category="All results",
            labels={"what": "One page"},
        ),
    log:
        f"{LOGS}/draw_page.log",
    conda:
        TABLES
    params:
        name=CONFIG.name,
        configuration=CONFIG.as_configured(),
        sections=CONFIG.sections,
        machines=MACHINES.declared,
        logs=[f"logs/train/{training}.log" for training in RUNS],
    message:
        "Draw the page of results"
    script:
        "../../scripts/draw_page.py"
