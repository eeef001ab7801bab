"""Collect all epochs of all runs, and the outcome of each."""

from ansatz.job import job
from ansatz.store import gather, write_csv

with job(snakemake.log[0]) as log:
    tidy, runs = gather(snakemake.input.metrics, snakemake.input.summaries)
    write_csv(snakemake.output.tidy, tidy)
    write_csv(snakemake.output.runs, runs)
    log.info("%d runs, %d epochs, %d diverged", len(runs), len(tidy), (runs.status == "diverged").sum())
