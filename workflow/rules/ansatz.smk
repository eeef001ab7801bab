"""
Needs: feature matrices of networks, before and after training. Makes: how NFM and AGOP of each layer correlate: a tidy
table, its summaries and figures, and pictures of the feature matrices.
"""

ALIGNMENTS, PICTURES = PLAN.alignments, PictureInputs(PLAN)
PICTURED = [place for place, alignment in ALIGNMENTS.items() if alignment.pictured]
ANSATZ = f"{RESULTS}/ansatz"


rule compare_features:
    input:
        initial=f"{RESULTS}/{{network}}/initial.h5",
        trained=f"{RESULTS}/{{network}}/trained.h5",
        summary=ALIGNMENTS.of("summary_file"),
        library=library("compare_features.py"),
    output:
        correlations=f"{RESULTS}/{{network}}/correlations.csv",
    log:
        f"{LOGS}/compare_features/{{network}}.log",
    conda:
        TORCH
    resources:
        mem_mb=growing(8000),
    params:
        experiment=ALIGNMENTS.of("experiment"),
        variant=ALIGNMENTS.of("variant"),
        dataset=ALIGNMENTS.of("dataset"),
        seed=ALIGNMENTS.of("seed"),
    message:
        "Compare NFM and AGOP of {wildcards.network}"
    script:
        "../../scripts/compare_features.py"


rule draw_first_layer:
    input:
        features=f"{RESULTS}/{{network}}/trained.h5",
        library=library("draw_first_layer.py"),
    output:
        matrices_png=f"{RESULTS}/{{network}}/first_layer_matrices.png",
        matrices_vector=report(
            f"{RESULTS}/{{network}}/first_layer_matrices.{CONFIG.figures.vector}",
            caption="../report/first_layer.rst",
            category="Ansatz",
            labels={"what": "{network}: first layer, matrices"},
        ),
        eigenvectors_png=f"{RESULTS}/{{network}}/first_layer_eigenvectors.png",
        eigenvectors_vector=report(
            f"{RESULTS}/{{network}}/first_layer_eigenvectors.{CONFIG.figures.vector}",
            caption="../report/first_layer.rst",
            category="Ansatz",
            labels={"what": "{network}: first layer, eigenvectors"},
        ),
    log:
        f"{LOGS}/draw_first_layer/{{network}}.log",
    conda:
        TORCH
    params:
        style=CONFIG.figures.style,
    message:
        "Draw the first layer of {wildcards.network}"
    script:
        "../../scripts/draw_first_layer.py"


rule draw_saliency:
    input:
        features=f"{RESULTS}/{{network}}/trained.h5",
        weights=ALIGNMENTS.of("weights"),
        dataset=ALIGNMENTS.of("dataset_file"),
        picture=PICTURES.file,
        library=library("draw_saliency.py"),
        definitions=ALIGNMENTS.of("definitions"),
    output:
        png=f"{RESULTS}/{{network}}/saliency/{{picture}}.png",
        vector=report(
            f"{RESULTS}/{{network}}/saliency/{{picture}}.{CONFIG.figures.vector}",
            caption="../report/saliency.rst",
            category="Ansatz",
            labels={"what": "{network}: saliency in {picture}"},
        ),
    log:
        f"{LOGS}/draw_saliency/{{network}}/{{picture}}.log",
    conda:
        TORCH
    resources:
        mem_mb=growing(8000),
    params:
        style=CONFIG.figures.style,
        network=ALIGNMENTS.of("network"),
        images=ALIGNMENTS.of("images"),
        picture=PICTURES.picture,
        normalisation=ALIGNMENTS.of("normalisation"),
    message:
        "Draw what the layers of {wildcards.network} look at in {wildcards.picture}"
    script:
        "../../scripts/draw_saliency.py"


rule tabulate_ansatz:
    input:
        correlations=expand(rules.compare_features.output.correlations, network=ALIGNMENTS),
        library=library("tabulate_ansatz.py"),
    output:
        tidy=f"{ANSATZ}/tidy.csv",
        csv=report(
            f"{ANSATZ}/table.csv",
            caption="../report/ansatz.rst",
            category="Ansatz",
            labels={"what": "Table"},
        ),
        markdown=f"{ANSATZ}/table.md",
    log:
        f"{LOGS}/tabulate_ansatz.log",
    conda:
        TABLES
    message:
        "Make the table of the ansatz"
    script:
        "../../scripts/tabulate_ansatz.py"


rule draw_ansatz:
    input:
        tidy=rules.tabulate_ansatz.output.tidy,
        library=library("draw_ansatz.py"),
    output:
        png=f"{ANSATZ}/{{figure}}.png",
        vector=report(
            f"{ANSATZ}/{{figure}}.{CONFIG.figures.vector}",
            caption="../report/ansatz.rst",
            category="Ansatz",
            labels={"what": "{figure}"},
        ),
    log:
        f"{LOGS}/draw_ansatz/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(catalogue.names("alignment")),
    conda:
        TABLES
    params:
        style=CONFIG.figures.style,
    message:
        "Draw the ansatz, {wildcards.figure}"
    script:
        "../../scripts/draw_ansatz.py"


rule ansatz:
    input:
        section(PLAN, "ansatz"),
        rules.tabulate_ansatz.output,
        expand(rules.draw_ansatz.output, figure=PLAN.alignment_figures),
        expand(rules.draw_first_layer.output, network=PICTURED),
        expand(rules.draw_saliency.output, network=PICTURED, picture=PICTURES),
    message:
        f"Complete {ANSATZ}/"
