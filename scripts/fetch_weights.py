"""Fetch torchvision's pre-trained weights by name: from `data_dir`, or downloaded."""

from pathlib import Path

from ansatz.data.archives import fetch
from ansatz.job import job
from ansatz.networks.weights import published_weights

with job(snakemake.log[0]):
    archive = published_weights(snakemake.wildcards.weights, sha256=snakemake.params.sha256)
    look_in = [Path(snakemake.params.data_dir)] if snakemake.params.data_dir else []
    fetch(archive, Path(snakemake.output.weights), look_in)
