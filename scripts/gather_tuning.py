"""Collect the trainings that tried learning rates, with the rates that they led to."""

from ansatz.files.results import read_results
from ansatz.files.tables import write_csv
from ansatz.job import job
from ansatz.training.tuning import tabulate

with job(snakemake.log[0]) as log:
    pairs = zip(snakemake.input.metrics, snakemake.input.summaries, strict=True)
    tuning = tabulate([read_results(*pair)[1] for pair in pairs])
    write_csv(snakemake.output.tuning, tuning)
    log.info("%d trainings, %d diverged", len(tuning), (tuning.status == "diverged").sum())
