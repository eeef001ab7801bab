"""Measure the standard deviation of the outputs of each layer in a network before it is trained."""

import pandas as pd

from ansatz.data.batches import on_device
from ansatz.data.splits import read_split
from ansatz.devices import take_device
from ansatz.features.inputs import output_stds
from ansatz.files.tables import write_csv
from ansatz.initializers.initial import initial_network
from ansatz.job import job

files, params = snakemake.input, snakemake.params
with job(snakemake.log[0], definitions=files.definitions):
    data = read_split(files.dataset, ["train"], **params.split)
    device = take_device(**params.device, threads=snakemake.threads)
    images = on_device(data, **params.images, device=device)["train"]
    network = initial_network(**params.start, classes=len(data.classes), images=images, features=files.features)
    stds = output_stds(network, images, params.start["seed"])
    rows = [params.run | {"layer": layer, "std": std} for layer, std in stds.items()]
    write_csv(snakemake.output.activations, pd.DataFrame(rows))
