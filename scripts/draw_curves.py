"""Draw a figure of all runs over epochs: accuracy, gap, or another metric."""

from ansatz.files.tables import read_csv
from ansatz.job import job
from ansatz.reporting.figures.curves import figure_of
from ansatz.reporting.figures.style import save

with job(snakemake.log[0]):
    draw = figure_of(snakemake.wildcards.figure)
    save(draw(read_csv(snakemake.input.tidy)), *snakemake.output, style=snakemake.params.style)
