"""Draw what each layer looks at in a picture, through NFM and AGOP."""

from ansatz import figures, pictures
from ansatz.batches import normalised
from ansatz.feature_matrices import read
from ansatz.job import job
from ansatz.networks import build, load_weights
from ansatz.store import read_dataset

with job(snakemake.log[0]):
    params = snakemake.params
    data = read_dataset(snakemake.input.dataset, parts=["train"])
    network = build(**params.network, classes=params.classes or len(data.classes), seed=0)
    load_weights(network, snakemake.input.weights)
    side = {key: params.images[key] for key in ("size", "channels")}
    image = pictures.read_image(params.picture, data.parts["train"], **side)
    x = normalised(image, data, **side)
    by_kind = read(snakemake.input.features)
    looks = {kind.upper(): pictures.looked_at(network, x, by_layer) for kind, by_layer in by_kind.items()}
    rows = {kind: {layer: found.numpy() for layer, found in by.items()} for kind, by in looks.items()}
    figures.save(figures.looks_at(image[0].movedim(0, -1).numpy(), rows), *snakemake.output)
