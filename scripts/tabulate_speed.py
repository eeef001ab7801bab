"""Measure how fast the networks of the initialization study learned: run by run, and as a table."""

from ansatz.files.atomic import write_text
from ansatz.files.tables import read_csv, write_csv
from ansatz.job import job
from ansatz.reporting import speed

with job(snakemake.log[0]):
    runs = speed.by_run(read_csv(snakemake.input.tidy), snakemake.params.baseline)
    write_csv(snakemake.output.csv, runs.round(6))
    write_text(snakemake.output.markdown, speed.to_markdown(runs))
