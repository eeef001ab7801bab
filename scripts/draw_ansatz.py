"""Draw how NFM and AGOP align, layer by layer or network by network."""

from ansatz.files.tables import ALIGNMENT, read_csv
from ansatz.job import job
from ansatz.reporting.figures import alignment
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save

with job(snakemake.log[0]):
    draw = figures_of(alignment.__name__)[snakemake.wildcards.figure]
    save(draw(read_csv(snakemake.input.tidy, ALIGNMENT)), *snakemake.output, style=snakemake.params.style)
