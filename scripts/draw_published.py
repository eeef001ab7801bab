"""Draw a picture of results/published/ours/ again, from its tables or from snapshots of a training."""

from pathlib import Path

from ansatz.files.evolution import read_evolution
from ansatz.files.tables import read_csv
from ansatz.job import job
from ansatz.reporting.figures import alignment, comparison, curves, evolution, sources, transfer
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save

MODULES = (alignment, comparison, curves, evolution, sources, transfer)

with job(snakemake.log[0]):
    figures = {name: draw for module in MODULES for name, draw in figures_of(module.__name__).items()}
    read, draw = {".csv": read_csv, ".h5": read_evolution}, figures[Path(snakemake.wildcards.picture).name]
    save(draw(*(read[Path(file).suffix](file) for file in snakemake.input.shown)), *snakemake.output)
