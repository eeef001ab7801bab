"""Draw a figure over epochs from all runs."""

from ansatz import figures
from ansatz.job import job
from ansatz.store import read_csv

with job(snakemake.log[0]):
    draw = figures.CURVES[snakemake.wildcards.figure]
    figures.save(draw(read_csv(snakemake.input.tidy)), snakemake.output.png, snakemake.output.svg)
