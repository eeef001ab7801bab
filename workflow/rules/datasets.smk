"""
Needs: archives from data_dir or the network, or a user's folder or zip. Makes: one dataset.h5 per dataset.
"""

DATASETS = DatasetInputs(PLAN, archives=f"{RESULTS}/datasets/{{dataset}}/archives")


rule fetch_dataset:
    input:
        # Ancient: an archive is identified by its checksum, so changes of the code never require another download.
        library=ancient(library("fetch_dataset.py")),
        definitions=ancient(DATASETS.definitions("fetch_dataset.py")),
    output:
        archives=directory(DATASETS.archives),
    log:
        f"{LOGS}/fetch_dataset/{{dataset}}.log",
    retries: 1
    conda:
        TORCH
    params:
        data_dir=CONFIG.data_dir,
        url=DATASETS.option("url", ""),
        sha256=DATASETS.option("sha256", ""),
    message:
        "Fetch the archives of {wildcards.dataset}"
    script:
        "../../scripts/fetch_dataset.py"


rule prepare_dataset:
    input:
        archives=DATASETS.published,
        own=ancient(DATASETS.folder),  # compared by the parameter identity
        library=library("prepare_dataset.py"),
        definitions=DATASETS.definitions("prepare_dataset.py"),
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
        size=DATASETS.option("size"),
        limit=DATASETS.option("limit"),
        sha256=DATASETS.option("sha256", ""),
        identity=DATASETS.identity,
    message:
        "Prepare {wildcards.dataset}"
    script:
        "../../scripts/prepare_dataset.py"
