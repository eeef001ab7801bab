"""Put a dataset's archives into a folder: from `data_dir`, or downloaded."""

from pathlib import Path

from ansatz.data.archives import fetch_archives
from ansatz.job import job

with job(snakemake.log[0], definitions=snakemake.input.definitions):
    fetch_archives(snakemake.wildcards.dataset, Path(snakemake.output.archives), **snakemake.params)
