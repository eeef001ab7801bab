"""Draw a figure of the scores of all machines."""

from ansatz.files.tables import read_scores
from ansatz.job import job
from ansatz.reporting.figures import machines
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save
from ansatz.reporting.machines import read_declared

with job(snakemake.log[0]):
    draw, declared = figures_of(machines.__name__)[snakemake.wildcards.figure], read_declared(snakemake.params.machines)
    save(draw(read_scores(snakemake.input.tidy), declared), *snakemake.output, style=snakemake.params.style)
