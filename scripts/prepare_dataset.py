"""Turn a dataset's archives, or a user's own images, into one dataset.h5."""

from pathlib import Path

from ansatz.data.prepare import prepare
from ansatz.job import job

with job(snakemake.log[0], definitions=snakemake.input.definitions):
    own, archives = snakemake.input.own, snakemake.input.archives
    source, output = Path(str(own or archives)), Path(snakemake.output.dataset)
    prepare(snakemake.wildcards.dataset, source, output, own=bool(own), **snakemake.params)
