"""Follow chains of sources over their generations: what is learned from each, and how its features change."""

from ansatz.files.tables import SOURCES_COMPARED, SPECTRA, read_csv, write_csv
from ansatz.job import job
from ansatz.reporting import generations

with job(snakemake.log[0]):
    files, params = snakemake.input, snakemake.params
    runs, speed = read_csv(files.runs), read_csv(files.speed)
    spectra, alignment = read_csv(files.spectra, SPECTRA), read_csv(files.alignment, SOURCES_COMPARED)
    learned = generations.learned(runs, speed, params.chains, params.drawing)
    write_csv(snakemake.output.learned, learned.round(6))
    write_csv(snakemake.output.features, generations.features(spectra, alignment, params.chains).round(6))
