"""Collect the standard deviations of the outputs of all initial networks, and draw them by layer."""

import pandas as pd

from ansatz.files.tables import ACTIVATIONS, read_csv, write_csv
from ansatz.job import job
from ansatz.reporting.figures.activations import activations
from ansatz.reporting.figures.style import save

with job(snakemake.log[0]):
    table = pd.concat([read_csv(path, ACTIVATIONS) for path in snakemake.input.activations], ignore_index=True)
    write_csv(snakemake.output.csv, table)
    save(activations(table), snakemake.output.png, snakemake.output.svg)
