"""Extract the feature matrices, NFM and AGOP over patches, of every convolution of a network."""

from ansatz.data.batches import on_device
from ansatz.devices import take_device
from ansatz.features.agop import agop_over
from ansatz.features.alignment import correlation
from ansatz.features.matrix import nfm
from ansatz.features.stored import write_matrices
from ansatz.files.dataset import read_dataset
from ansatz.initializers.initial import initial_network
from ansatz.job import job
from ansatz.networks.weights import load_weights
from ansatz.provenance import provenance

with job(snakemake.log[0], definitions=snakemake.input.definitions) as log:
    files, params = snakemake.input, snakemake.params
    data = read_dataset(files.dataset, parts=["train"])
    start = {"initializer": params.initializer, "features": files.features, "image_size": params.images["size"]}
    network = initial_network(params.network, params.classes or len(data.classes), seed=params.seed, **start)
    if files.weights:
        load_weights(network, files.weights)
    device = take_device(**params.device, threads=snakemake.threads)
    images = on_device(data, **params.images, device=device)["train"]
    matrices = {"nfm": nfm(network.to(device))}
    matrices["agop"] = agop_over(network, images, params.sample_size, **params.estimator)
    for layer, matrix in matrices["nfm"].items():
        log.info("%s: correlation of NFM and AGOP %.3f", layer, correlation(matrix, matrices["agop"][layer]))
    write_matrices(
        snakemake.output.features,
        network,
        matrices,
        images=min(params.sample_size, len(images)),
        estimator=f"{params.estimator['probes']} probes" if params.estimator["probes"] else "exact",
        source=params.source,
        provenance=provenance(**dict(params), images_of=data.name),
    )
