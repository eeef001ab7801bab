"""Collect the correlations of all cases, and make their tables."""

import pandas as pd

from ansatz import statistics
from ansatz.job import job
from ansatz.store import ALIGNMENT, read_csv, write_csv, write_text

with job(snakemake.log[0]):
    tables = [read_csv(path, ALIGNMENT) for path in snakemake.input.correlations]
    tidy = pd.concat(tables, ignore_index=True)
    write_csv(snakemake.output.tidy, tidy)
    write_csv(snakemake.output.csv, statistics.over_seeds(tidy).round(6))
    write_text(snakemake.output.markdown, statistics.alignment_to_markdown(tidy))
