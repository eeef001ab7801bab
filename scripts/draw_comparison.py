"""Draw a comparison of the initializers from its table."""

from ansatz.files.tables import read_csv
from ansatz.job import job
from ansatz.reporting.figures import comparison
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save

with job(snakemake.log[0]):
    draw = figures_of(comparison.__name__)[snakemake.wildcards.figure]
    save(draw(read_csv(snakemake.input.table)), snakemake.output.png, snakemake.output.svg)
