"""Collect the trainings that tried learning rates, and which of these were chosen."""

from ansatz.files.results import read_results
from ansatz.files.tables import write_csv
from ansatz.job import job
from ansatz.reporting.tuning import tabulate
from ansatz.training.tuning import read_choice

with job(snakemake.log[0]) as log:
    pairs = zip(snakemake.input.metrics, snakemake.input.summaries, strict=True)
    choices = [read_choice(path)["learning_rate"] for path in snakemake.input.chosen]
    tuning = tabulate([read_results(*pair)[1] for pair in pairs], choices)
    write_csv(snakemake.output.tuning, tuning)
    log.info("%d trainings, %d diverged", len(tuning), (tuning.status == "diverged").sum())
