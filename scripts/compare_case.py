"""Compare NFM and AGOP of each convolution, before and after training."""

import pandas as pd

from ansatz import feature_matrices
from ansatz.job import job
from ansatz.store import read_attributes, read_json, write_csv

with job(snakemake.log[0]):
    initial, trained = (feature_matrices.read(snakemake.input[state]) for state in ("initial", "trained"))
    outcome = read_json(snakemake.input.summary) if snakemake.input.summary else {}
    attributes = read_attributes(snakemake.input.trained)
    known = dict(snakemake.params) | {key: attributes[key] for key in ("images", "estimator")}
    known |= {key: outcome.get(key) for key in ("validation_accuracy", "test_accuracy")}
    rows = feature_matrices.compare(initial, trained)
    write_csv(snakemake.output.correlations, pd.DataFrame([known | row for row in rows]))
