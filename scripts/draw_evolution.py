"""Draw what was seen of a network's features while it trained."""

from ansatz import feature_figures
from ansatz.figures import save
from ansatz.job import job
from ansatz.store import read_evolution

with job(snakemake.log[0]):
    draw = feature_figures.STAGES[snakemake.wildcards.figure]
    save(draw(read_evolution(snakemake.input.evolution)), snakemake.output.png, snakemake.output.svg)
