"""
Needs: archives from data_dir or the network, or a user's folder or zip. Makes: one dataset.h5 per dataset.
"""

DATASETS = DatasetInputs(PLAN, archive=f"{RESULTS}/datasets/{{dataset}}/archives/{{archive}}")


# A job for each file, so that those that have arrived stay when another one fails.
rule fetch_archive:
    input:
        # Ancient: an archive is identified by its checksum, so changes of the code never require another download.
        library=ancient(library("fetch_archive.py")),
        definitions=ancient(DATASETS.definitions("fetch_archive.py")),
    output:
        archive=DATASETS.archive,
    log:
        f"{LOGS}/fetch_archive/{{dataset}}/{{archive}}.log",
    wildcard_constraints:
        archive="[^/]+",
    retries: 0  # a download repeats what may help
    conda:
        TORCH
    params:
        data_dir=CONFIG.data_dir,
        url=DATASETS.of_archive("url"),
        sha256=DATASETS.of_archive("sha256"),
    message:
        "Fetch {wildcards.archive} of {wildcards.dataset}"
    script:
        "../../scripts/fetch_archive.py"


rule prepare_dataset:
    input:
        # Ancient: archives are identified by their checksums, a user's images by the parameter identity.
        archives=ancient(DATASETS.archives),
        folder=ancient(DATASETS.folder),
        library=library("prepare_dataset.py"),
        definitions=DATASETS.definitions("prepare_dataset.py"),
    output:
        dataset=f"{RESULTS}/datasets/{{dataset}}/dataset.h5",
    log:
        f"{LOGS}/prepare_dataset/{{dataset}}.log",
    conda:
        TORCH
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
    params:
        source=DATASETS.source,
        own=DATASETS.is_own,
        size=DATASETS.option("size"),
        limit=DATASETS.option("limit"),
        sha256=DATASETS.option("sha256", ""),
        identity=DATASETS.identity,
    message:
        "Prepare {wildcards.dataset}"
    script:
        "../../scripts/prepare_dataset.py"
