"""Draw what sources hold, from tables."""

from ansatz.files.tables import read_csv
from ansatz.job import job
from ansatz.reporting.figures import sources
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save

with job(snakemake.log[0]):
    draw = figures_of(sources.__name__)[snakemake.wildcards.figure]
    save(draw(*map(read_csv, snakemake.input.tables)), *snakemake.output, style=snakemake.params.style)
