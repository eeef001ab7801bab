"""Draw how NFM and AGOP align, layer by layer or network by network."""

from ansatz import feature_figures
from ansatz.figures import save
from ansatz.job import job
from ansatz.store import ALIGNMENT, read_csv

with job(snakemake.log[0]):
    draw = feature_figures.ALIGNMENTS[snakemake.wildcards.figure]
    save(draw(read_csv(snakemake.input.tidy, ALIGNMENT)), snakemake.output.png, snakemake.output.svg)
