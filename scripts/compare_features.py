"""Compare NFM and AGOP of each layer of a network, before and after training."""

import pandas as pd

from ansatz.features.alignment import compare
from ansatz.features.stored import read_matrices
from ansatz.files.atomic import read_json
from ansatz.files.hdf5 import read_attributes
from ansatz.files.tables import write_csv
from ansatz.job import job

with job(snakemake.log[0]):
    initial, trained = (read_matrices(snakemake.input[state]) for state in ("initial", "trained"))
    summary = read_json(snakemake.input.summary) if snakemake.input.summary else {}
    attributes = read_attributes(snakemake.input.trained)
    columns = dict(snakemake.params) | {key: attributes[key] for key in ("images", "estimator")}
    columns |= {key: summary.get(key) for key in ("validation_accuracy", "test_accuracy")}
    table = pd.DataFrame([columns | row for row in compare(initial, trained)])
    write_csv(snakemake.output.correlations, table)
