"""Turn a dataset's archives, or a user's own images, into one dataset.h5."""

from pathlib import Path

from ansatz.data.prepare import prepare
from ansatz.job import job

with job(snakemake.log[0], definitions=snakemake.input.definitions):
    prepare(snakemake.wildcards.dataset, output=Path(snakemake.output.dataset), **snakemake.params)
