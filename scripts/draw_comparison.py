"""Draw a comparison of the initializers from its table."""

from ansatz.files.tables import read_csv
from ansatz.job import job
from ansatz.reporting.figures import comparison, transfer
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save

with job(snakemake.log[0]):
    figures = figures_of(comparison.__name__) | figures_of(transfer.__name__)
    draw = figures[snakemake.wildcards.figure]
    save(draw(read_csv(snakemake.input.table)), *snakemake.output, style=snakemake.params.style)
