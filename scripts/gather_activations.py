"""Collect the standard deviations of the outputs of all networks before training."""

import pandas as pd

from ansatz.files.tables import ACTIVATIONS, read_csv, write_csv
from ansatz.job import job

with job(snakemake.log[0]):
    tables = [read_csv(path, ACTIVATIONS) for path in snakemake.input.activations]
    write_csv(snakemake.output.activations, pd.concat(tables, ignore_index=True))
