"""
Needs: the weights of the source network and images of its dataset. Makes: features.h5, NFM and AGOP of every convolution.
"""

# kind of source -> (weights, network, classes; None for as many as the dataset has)
SOURCES = {
    "none": (None, None, None),
    "pretrain": (rules.pretrain.output.weights, NETWORK, None),
    "torchvision": (
        rules.fetch_weights.output.weights,
        {
            "name": SOURCE.get("weights", "").partition("_Weights")[0].lower(),
            "width": 1.0,
            "in_channels": 3,
        },
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
        estimator={key: config["feature_matrices"][key] for key in ("probes", "precision")},
        network=SOURCE_NETWORK,
        classes=SOURCE_CLASSES,
        images=IMAGES,
        source=f"{SOURCE_KIND} {SOURCE.get('weights', SOURCE.get('path', SOURCE.get('dataset')))}",
        device=DEVICE,
    message:
        "extract the feature matrices of {params.source}"
    script:
        "../../scripts/extract_features.py"
