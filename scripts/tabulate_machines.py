"""Collect the scores of all machines, and make their tables."""

import pandas as pd

from ansatz.files.atomic import write_text
from ansatz.files.tables import read_scores, write_csv
from ansatz.job import job
from ansatz.reporting import machines

with job(snakemake.log[0]):
    declared = machines.read_declared(snakemake.params.machines)
    tidy = pd.concat([read_scores(path) for path in snakemake.input.scores], ignore_index=True)
    summary = machines.summarize(tidy, declared)
    write_csv(snakemake.output.tidy, tidy)
    write_csv(snakemake.output.csv, summary.round(6))
    write_text(snakemake.output.markdown, machines.to_markdown(summary, declared))
