"""Draw what machines scored."""

from ansatz.figures import save
from ansatz.job import job
from ansatz.machine_figures import SCORE_FIGURES
from ansatz.store import SCORES, read_csv

with job(snakemake.log[0]):
    draw = SCORE_FIGURES[snakemake.wildcards.figure]
    save(draw(read_csv(snakemake.input.tidy, SCORES)), snakemake.output.png, snakemake.output.svg)
