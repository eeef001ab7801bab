"""Draw the saliency of each layer in a picture, according to NFM and AGOP."""

from ansatz.data.batches import normalised
from ansatz.data.pictures import read_image
from ansatz.features.saliency import saliency
from ansatz.features.stored import read_matrices
from ansatz.files.dataset import read_dataset
from ansatz.files.features import OF_SOURCES
from ansatz.job import job
from ansatz.networks.build import build
from ansatz.networks.weights import load_weights, normalisation_of
from ansatz.reporting.figures.saliency import saliency_maps
from ansatz.reporting.figures.style import save

with job(snakemake.log[0], definitions=snakemake.input.definitions):
    params = snakemake.params
    data = read_dataset(snakemake.input.dataset, parts=["train"])
    network = build(**{"classes": len(data.classes), **params.network}, seed=0)
    load_weights(network, snakemake.input.weights)
    shape = {key: params.images[key] for key in ("size", "channels")}
    image = read_image(params.picture, data.parts["train"], **shape)
    x = normalised(image, data, **shape, normalisation=normalisation_of(params.normalisation))
    by_kind = read_matrices(snakemake.input.features)
    maps = {
        kind.upper(): {layer: values.numpy() for layer, values in saliency(network, x, by_kind[kind]).items()}
        for kind in OF_SOURCES
    }
    save(saliency_maps(image[0].movedim(0, -1).numpy(), maps), *snakemake.output, style=params.style)
