"""Collect what machines scored, and make their tables."""

import pandas as pd

from ansatz import statistics
from ansatz.job import job
from ansatz.store import read_scores, write_csv, write_text

with job(snakemake.log[0]):
    tidy = pd.concat([read_scores(path) for path in snakemake.input.scores], ignore_index=True)
    summary = statistics.over_machines(tidy)
    write_csv(snakemake.output.tidy, tidy)
    write_csv(snakemake.output.csv, summary.round(6))
    write_text(snakemake.output.markdown, statistics.scores_to_markdown(summary))
