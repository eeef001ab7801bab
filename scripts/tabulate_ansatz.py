"""Collect the correlations and cosines of all networks, and make their tables."""

import pandas as pd

from ansatz.files.atomic import write_text
from ansatz.files.tables import ALIGNMENT, read_csv, write_csv
from ansatz.job import job
from ansatz.reporting import alignment

with job(snakemake.log[0]):
    tidy = pd.concat([read_csv(path, ALIGNMENT) for path in snakemake.input.correlations], ignore_index=True)
    write_csv(snakemake.output.tidy, tidy)
    write_csv(snakemake.output.csv, alignment.by_layer(tidy).round(6))
    write_text(snakemake.output.markdown, alignment.to_markdown(tidy))
