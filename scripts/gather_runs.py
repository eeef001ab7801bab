"""Collect all epochs of all runs, the outcome of each, and what it took."""

from ansatz.job import job
from ansatz.store import gather, resources, write_csv

with job(snakemake.log[0]) as log:
    tidy, runs = gather(snakemake.input.metrics, snakemake.input.summaries)
    write_csv(snakemake.output.tidy, tidy)
    write_csv(snakemake.output.runs, runs)
    write_csv(snakemake.output.resources, resources(snakemake.params.benchmarks, runs))
    log.info("%d runs, %d epochs, %d diverged", len(runs), len(tidy), (runs.status == "diverged").sum())
