"""
Needs: archives from data_dir or the network, or a user's folder or zip. Makes: one dataset.h5 a dataset.
"""


rule fetch_dataset:
    input:
        # Ancient, as an archive is known by its checksum: no change of code changes it.
        library=ancient(library("fetch_dataset.py")),
    output:
        archives=directory(f"{RESULTS}/datasets/{{dataset}}/archives"),
    log:
        f"{LOGS}/fetch_dataset/{{dataset}}.log",
    retries: 1
    conda:
        TORCH
    params:
        data_dir=config["data_dir"],
        url=option("url", ""),
        sha256=option("sha256", ""),
    message:
        "fetch the archives of {wildcards.dataset}"
    script:
        "../../scripts/fetch_dataset.py"


rule prepare_dataset:
    input:
        source=archives_or_folder,
        library=library("prepare_dataset.py"),
    output:
        dataset=f"{RESULTS}/datasets/{{dataset}}/dataset.h5",
    log:
        f"{LOGS}/prepare_dataset/{{dataset}}.log",
    conda:
        TORCH
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        own=has_folder,
        size=option("size"),
        limit=option("limit"),
        sha256=option("sha256", ""),
        listing=listing,
    message:
        "prepare {wildcards.dataset}"
    script:
        "../../scripts/prepare_dataset.py"
