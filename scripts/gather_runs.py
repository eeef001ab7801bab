"""Collect all epochs of all runs, their outcomes, and the resources they used."""

from ansatz.files.runs import chance_levels, gather, resources
from ansatz.files.tables import write_csv
from ansatz.job import job

with job(snakemake.log[0]) as log:
    tidy, runs = gather(snakemake.input.metrics, snakemake.input.summaries)
    levels = chance_levels(snakemake.params.datasets)
    write_csv(snakemake.output.tidy, tidy.assign(chance=tidy.dataset.map(levels)))
    write_csv(snakemake.output.runs, runs)
    write_csv(snakemake.output.resources, resources(snakemake.params.benchmarks, runs))
    log.info("%d runs, %d epochs, %d diverged", len(runs), len(tidy), (runs.status == "diverged").sum())
