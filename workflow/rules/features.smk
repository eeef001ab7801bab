"""
Needs: the weights of the source network and images of its dataset. Makes: features.h5, NFM and AGOP of every convolution.
"""

# kind of source -> (weights, network, classes; None for as many as the dataset has)
SOURCES = {
    "none": (None, None, None),
    "pretrain": (rules.pretrain.output.weights, NETWORK, None),
    "torchvision": (
        FETCHED_WEIGHTS.format(weights=SOURCE.get("weights")),
        torchvision_network(SOURCE.get("weights", "")),
        1000,
    ),
    "checkpoint": (
        SOURCE.get("path"),
        NETWORK | {"name": SOURCE.get("network")},
        SOURCE.get("classes"),
    ),
}
WEIGHTS, SOURCE_NETWORK, SOURCE_CLASSES = SOURCES[SOURCE_KIND]


rule extract_features:
    input:
        weights=WEIGHTS or [],
        dataset=SOURCE_DATASET,
        library=library("extract_features.py"),
    output:
        features=f"{RESULTS}/source/features.h5",
    log:
        f"{LOGS}/extract_features.log",
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
        network=SOURCE_NETWORK,
        classes=SOURCE_CLASSES,
        images=IMAGES,
        initializer={"name": None},
        seed=0,
        source=f"{SOURCE_KIND} {SOURCE.get('weights', SOURCE.get('path', SOURCE.get('dataset')))}",
        device=DEVICE,
    message:
        "extract the feature matrices of {params.source}"
    script:
        "../../scripts/extract_features.py"
