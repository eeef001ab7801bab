"""Extract NFM and patch-AGOP of every convolution of the source network."""

from ansatz import feature_matrices
from ansatz.batches import on_device
from ansatz.devices import take_device
from ansatz.initializers import initialize
from ansatz.job import job
from ansatz.networks import build, load_weights
from ansatz.provenance import provenance
from ansatz.store import read_dataset

with job(snakemake.log[0]) as log:
    params = snakemake.params
    data = read_dataset(snakemake.input.dataset, parts=["train"])
    network = build(**params.network, classes=params.classes or len(data.classes), seed=params.seed)
    initialize(network, **params.initializer, seed=params.seed)
    if snakemake.input.weights:
        load_weights(network, snakemake.input.weights)
    device = take_device(**params.device, threads=snakemake.threads)
    images = on_device(data, **params.images, device=device)["train"]
    nfm = feature_matrices.nfm(network.to(device))
    agop = feature_matrices.agop_over(network, images, params.sample, **params.estimator)
    for layer in nfm:
        log.info("%s: correlation of NFM and AGOP %.3f", layer, feature_matrices.correlation(nfm[layer], agop[layer]))
    feature_matrices.write(
        snakemake.output.features,
        network,
        {"nfm": nfm, "agop": agop},
        images=min(params.sample, len(images)),
        estimator=f"{params.estimator['probes']} probes" if params.estimator["probes"] else "exact",
        source=params.source,
        provenance=provenance(**dict(params), images_of=data.name),
    )
