"""Extract the feature matrices of a network's layers: NFM, and AGOP if there are images."""

from copy import deepcopy

from ansatz.data.batches import on_device
from ansatz.data.splits import read_split
from ansatz.devices import take_device
from ansatz.features.alignment import correlation
from ansatz.features.extraction import extract
from ansatz.features.stored import write_matrices
from ansatz.initializers.initial import initial_network
from ansatz.job import job
from ansatz.networks.weights import load_weights, normalisation_of
from ansatz.provenance import provenance
from ansatz.training.evaluation import untrained

files, params = snakemake.input, snakemake.params
with job(snakemake.log[0], definitions=files.definitions) as log:
    data = read_split(files.dataset, ["train"], **params.split) if files.dataset else None
    device = take_device(**params.device, threads=snakemake.threads)
    given = params.images | {"normalisation": normalisation_of(params.normalisation), "device": device}
    images = on_device(data, **given)["train"] if data else None
    classes = len(data.classes) if data else 2  # of weights alone, any number of logits
    network = initial_network(**params.start, classes=classes, images=images, features=files.features)
    initial = deepcopy(network) if "centred_nfm" in params.kinds else None
    if files.weights:
        load_weights(network, files.weights, layers_alone=data is None)
    sample, attributes = min(params.estimator["sample_size"], len(images or ())), {"source": params.source}
    given = {"images": images, "estimator": params.estimator, "initial": initial}
    matrices = extract(params.kinds, network.to(device), **given)
    if data:
        probes = params.estimator["probes"]
        if files.weights and not initial and (doubt := untrained(network, images, classes, sample)):
            log.warning("%s: %s", params.source, doubt)
        attributes |= {"images": sample, "images_of": data.name, "estimator": f"{probes} probes" if probes else "exact"}
        for layer, matrix in matrices["nfm"].items():
            log.info("%s: correlation of NFM and AGOP %.3f", layer, correlation(matrix, matrices["agop"][layer]))
    write_matrices(snakemake.output.features, network, matrices, provenance(**dict(params)), **attributes)
