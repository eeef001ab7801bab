"""
Needs: networks to train, or torchvision's weights, and datasets. Makes: how NFM and AGOP of each layer correlate, before
and after training: a tidy table, its summaries and figures, and pictures of the feature matrices.
"""


rule train_case:
    input:
        dataset=dataset_of_case,
        library=library("pretrain.py"),
    output:
        weights=TRAINED,
        metrics=f"{ALIGNMENT}/{{case}}/metrics.csv",
        summary=f"{ALIGNMENT}/{{case}}/summary.json",
    log:
        f"{LOGS}/train_case/{{case}}.log",
    conda:
        TORCH
    threads: config["threads"]
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        parts=["train", "validation", "test"],
        network=case("network"),
        images=case("images"),
        initializer=case("initializer"),
        protocol=case("protocol"),
        seed=case("seed"),
        device=DEVICE,
        compiled=COMPILED,
        checkpoint=f"{ALIGNMENT}/{{case}}/checkpoint.pt",
        title=f"ansatz.trained {{case}}",
    message:
        "train {wildcards.case}"
    script:
        "../../scripts/pretrain.py"


rule extract_case:
    input:
        weights=weights_of_case,
        dataset=dataset_of_case,
        library=library("extract_features.py"),
    output:
        features=f"{ALIGNMENT}/{{case}}/{{state}}.h5",
    log:
        f"{LOGS}/extract_case/{{case}}/{{state}}.log",
    conda:
        TORCH
    threads: config["threads"]
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=growing(120),
    params:
        sample=config["feature_matrices"]["images"],
        estimator=ESTIMATOR,
        network=case("network"),
        classes=case("classes"),
        images=case("images"),
        initializer=start_of_case,
        seed=case("seed"),
        source="{case}, {state}",
        device=DEVICE,
    message:
        "extract the feature matrices of {wildcards.case}, {wildcards.state}"
    script:
        "../../scripts/extract_features.py"


rule compare_case:
    input:
        initial=f"{ALIGNMENT}/{{case}}/initial.h5",
        trained=f"{ALIGNMENT}/{{case}}/trained.h5",
        summary=outcome_of_case,
        library=library("compare_case.py"),
    output:
        correlations=f"{ALIGNMENT}/{{case}}/correlations.csv",
    log:
        f"{LOGS}/compare_case/{{case}}.log",
    conda:
        TORCH
    resources:
        mem_mb=growing(8000),
    params:
        experiment=case("experiment"),
        variant=case("variant"),
        dataset=case("dataset"),
        seed=case("seed"),
    message:
        "compare NFM and AGOP of {wildcards.case}"
    script:
        "../../scripts/compare_case.py"


rule draw_first_layer:
    input:
        features=f"{ALIGNMENT}/{{case}}/trained.h5",
        library=library("draw_first_layer.py"),
    output:
        matrices_png=f"{ALIGNMENT}/{{case}}/first_layer_matrices.png",
        matrices_svg=report(
            f"{ALIGNMENT}/{{case}}/first_layer_matrices.svg",
            caption="../report/first_layer.rst",
            category="Ansatz",
            labels={"what": "{case}: first layer, matrices"},
        ),
        eigenvectors_png=f"{ALIGNMENT}/{{case}}/first_layer_eigenvectors.png",
        eigenvectors_svg=report(
            f"{ALIGNMENT}/{{case}}/first_layer_eigenvectors.svg",
            caption="../report/first_layer.rst",
            category="Ansatz",
            labels={"what": "{case}: first layer, eigenvectors"},
        ),
    log:
        f"{LOGS}/draw_first_layer/{{case}}.log",
    conda:
        TORCH
    message:
        "draw the first layer of {wildcards.case}"
    script:
        "../../scripts/draw_first_layer.py"


rule draw_looks:
    input:
        features=f"{ALIGNMENT}/{{case}}/trained.h5",
        weights=case("weights"),
        dataset=dataset_of_case,
        picture=file_of_picture,
        library=library("draw_looks.py"),
    output:
        png=f"{ALIGNMENT}/{{case}}/looks/{{picture}}.png",
        svg=report(
            f"{ALIGNMENT}/{{case}}/looks/{{picture}}.svg",
            caption="../report/looks.rst",
            category="Ansatz",
            labels={"what": "{case} looks at {picture}"},
        ),
    log:
        f"{LOGS}/draw_looks/{{case}}/{{picture}}.log",
    conda:
        TORCH
    resources:
        mem_mb=growing(8000),
    params:
        network=case("network"),
        classes=case("classes"),
        images=case("images"),
        picture=named_picture,
    message:
        "draw what the layers of {wildcards.case} look at in {wildcards.picture}"
    script:
        "../../scripts/draw_looks.py"


rule tabulate_ansatz:
    input:
        correlations=expand(rules.compare_case.output.correlations, case=CASES),
        library=library("tabulate_ansatz.py"),
    output:
        tidy=f"{ALIGNMENT}/tidy.csv",
        csv=report(
            f"{ALIGNMENT}/table.csv",
            caption="../report/ansatz.rst",
            category="Ansatz",
            labels={"what": "Table"},
        ),
        markdown=f"{ALIGNMENT}/table.md",
    log:
        f"{LOGS}/tabulate_ansatz.log",
    conda:
        TABLES
    message:
        "make the table of the ansatz"
    script:
        "../../scripts/tabulate_ansatz.py"


rule draw_ansatz:
    input:
        tidy=rules.tabulate_ansatz.output.tidy,
        library=library("draw_ansatz.py"),
    output:
        png=f"{ALIGNMENT}/{{figure}}.png",
        svg=report(
            f"{ALIGNMENT}/{{figure}}.svg",
            caption="../report/ansatz.rst",
            category="Ansatz",
            labels={"what": "{figure}"},
        ),
    log:
        f"{LOGS}/draw_ansatz/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(COMPARED),
    conda:
        TABLES
    message:
        "draw the ansatz, {wildcards.figure}"
    script:
        "../../scripts/draw_ansatz.py"


rule ansatz:
    input:
        configured("ansatz"),
        rules.tabulate_ansatz.output,
        expand(rules.draw_ansatz.output, figure=COMPARED),
        expand(rules.draw_first_layer.output, case=PICTURED),
        expand(rules.draw_looks.output, case=PICTURED, picture=PICTURES),
