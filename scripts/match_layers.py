"""Write which layer of a source each layer of the study's network draws from, and why."""

from ansatz.features.matching import match, to_markdown
from ansatz.features.stored import read_matrices
from ansatz.files.atomic import write_text
from ansatz.job import job
from ansatz.networks.build import patch_shapes

params = snakemake.params
with job(snakemake.log[0], definitions=snakemake.input.definitions):
    source = {layer: matrix.shape for layer, matrix in read_matrices(snakemake.input.features)["nfm"].items()}
    network = patch_shapes(**params.network)
    text = to_markdown(network, source, match(network, source, **params.matching))
    write_text(
        snakemake.output.table, f"Which layers of {snakemake.wildcards.source} the network draws from:\n\n{text}"
    )
