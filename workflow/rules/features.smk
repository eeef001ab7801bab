"""
Needs: weights (trained here, torchvision's or a user's) and datasets. Makes: feature matrices, an HDF5 file per network.
"""

EXTRACTIONS = PLAN.extractions


rule fetch_weights:
    input:
        library=ancient(library("fetch_weights.py")),
    output:
        weights=PLAN.fetched("{weights}"),
    log:
        f"{LOGS}/fetch_weights/{{weights}}.log",
    retries: 0  # a download repeats what may help
    conda:
        TORCH
    params:
        sha256=PLAN.checksum_of_weights,
        data_dir=CONFIG.data_dir,
    message:
        "Fetch {wildcards.weights}"
    script:
        "../../scripts/fetch_weights.py"


rule extract_features:
    input:
        dataset=EXTRACTIONS.of("dataset_file"),
        weights=EXTRACTIONS.of("weights_file"),
        features=EXTRACTIONS.of("features_file"),
        library=library("extract_features.py"),
        definitions=EXTRACTIONS.of("definitions"),
    output:
        features=f"{RESULTS}/{{extraction}}.h5",
    log:
        f"{LOGS}/extract_features/{{extraction}}.log",
    wildcard_constraints:
        extraction="sources/.+/features|ansatz/.+/(initial|trained)",
    conda:
        TORCH
    threads: CONFIG.threads
    resources:
        gpu=GPU,
        mem_mb=growing(PLAN.megabytes_of(EXTRACTIONS)),
        runtime=growing(120),
    params:
        start=EXTRACTIONS.of("start"),
        images=EXTRACTIONS.of("images"),
        split=EXTRACTIONS.of("split"),
        kinds=EXTRACTIONS.of("kinds"),
        estimator=EXTRACTIONS.of("estimator"),
        normalisation=EXTRACTIONS.of("normalisation"),
        checksum=EXTRACTIONS.of("checksum"),
        source=EXTRACTIONS.of("description"),
        device=DEVICE,
    message:
        "Extract the feature matrices of {params.source}"
    script:
        "../../scripts/extract_features.py"
