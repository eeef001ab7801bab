"""Draw what machines scored."""

from ansatz.figures import save
from ansatz.job import job
from ansatz.machine_figures import SCORE_FIGURES
from ansatz.store import read_scores

with job(snakemake.log[0]):
    draw = SCORE_FIGURES[snakemake.wildcards.figure]
    save(draw(read_scores(snakemake.input.tidy)), snakemake.output.png, snakemake.output.svg)
