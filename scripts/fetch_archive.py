"""Fetch one of a dataset's archives: from `data_dir`, or downloaded."""

from pathlib import Path

from ansatz.data.archives import fetch_archive
from ansatz.job import job

with job(snakemake.log[0], definitions=snakemake.input.definitions):
    dataset, archive = snakemake.wildcards.dataset, snakemake.wildcards.archive
    fetch_archive(dataset, archive, Path(snakemake.output.archive), **snakemake.params)
