"""Draw a figure of the features of a network while it trains."""

from ansatz.files.evolution import read_evolution
from ansatz.job import job
from ansatz.reporting.figures import evolution
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save

with job(snakemake.log[0]):
    draw = figures_of(evolution.__name__)[snakemake.wildcards.figure]
    save(draw(read_evolution(snakemake.input.evolution)), *snakemake.output, style=snakemake.params.style)
