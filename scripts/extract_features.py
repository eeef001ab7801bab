"""Extract NFM and patch-AGOP of every convolution of the source network."""

from ansatz import feature_matrices
from ansatz.batches import on_device, take_device
from ansatz.job import job
from ansatz.networks import build, load_weights
from ansatz.provenance import provenance
from ansatz.store import read_dataset

with job(snakemake.log[0]) as log:
    params = snakemake.params
    data = read_dataset(snakemake.input.dataset, parts=["train"])
    network = build(**params.network, classes=params.classes or len(data.classes), seed=0)
    load_weights(network, snakemake.input.weights)
    device = take_device(params.device, snakemake.threads)
    images = on_device(data, size=params.image_size, channels=params.network["in_channels"], device=device)["train"]
    batches = (x for x, _ in images.batches(params.batch_size, images.sample(params.images, seed=0)))
    nfm = feature_matrices.nfm(network.to(device))
    agop = feature_matrices.agop(network, batches, probes=params.probes)
    for layer in nfm:
        log.info("%s: correlation of NFM and AGOP %.3f", layer, feature_matrices.correlation(nfm[layer], agop[layer]))
    feature_matrices.write(
        snakemake.output.features,
        network,
        {"nfm": nfm, "agop": agop},
        images=min(params.images, len(images)),
        estimator=f"{params.probes} probes" if params.probes else "exact",
        source=params.source,
        provenance=provenance(**dict(params), images_of=data.name),
    )
