"""
Needs: the source's dataset, or torchvision's weights, or a user's checkpoint. Makes: the weights of the source network.
"""

SOURCE_KIND, SOURCE = next(iter(config.get("source", {}).items()), ("none", {}))
# The dataset that the source is trained on, and whose training images AGOP is averaged over.
SOURCE_DATASET = rules.prepare_dataset.output.dataset.format(dataset=SOURCE.get("images", SOURCE.get("dataset")))


rule pretrain:
    input:
        dataset=SOURCE_DATASET,
        library=library("pretrain.py"),
    output:
        weights=f"{RESULTS}/source/pretrained.pt",
        metrics=f"{RESULTS}/source/pretrained.csv",
        summary=f"{RESULTS}/source/pretrained.json",
    log:
        f"{LOGS}/pretrain.log",
    conda:
        TORCH
    threads: config["threads"]
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        parts=["train"],
        network=NETWORK,
        images=IMAGES,
        initializer={"name": SOURCE.get("initializer")},
        protocol=SOURCE.get("training"),
        seed=SOURCE.get("seed"),
        device=DEVICE,
        compiled=COMPILED,
        checkpoint=f"{RESULTS}/source/pretrained.checkpoint",
        title="source.pretrain",
    message:
        "pretrain the source network"
    script:
        "../../scripts/pretrain.py"


rule fetch_weights:
    input:
        library=ancient(library("fetch_weights.py")),
    output:
        weights=FETCHED_WEIGHTS,
    log:
        f"{LOGS}/fetch_weights/{{weights}}.log",
    retries: 1
    conda:
        TORCH
    params:
        sha256=checksum_of_weights,
        data_dir=config["data_dir"],
    message:
        "fetch {wildcards.weights}"
    script:
        "../../scripts/fetch_weights.py"
