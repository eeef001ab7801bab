"""Describe what sources hold, by their eigenvalues and effective ranks, and how they resemble each other."""

import pandas as pd

from ansatz.features.alignment import compare_sources
from ansatz.features.spectrum import spectra
from ansatz.features.stored import read_matrices
from ansatz.files.tables import SOURCES_COMPARED, SPECTRA, write_csv
from ansatz.job import job

with job(snakemake.log[0]):
    sources = dict(zip(snakemake.params.names, map(read_matrices, snakemake.input.features), strict=True))
    rows = [{"source": name} | row for name, matrices in sources.items() for row in spectra(matrices)]
    write_csv(snakemake.output.spectra, pd.DataFrame(rows, columns=SPECTRA))
    write_csv(snakemake.output.alignment, pd.DataFrame(compare_sources(sources), columns=SOURCES_COMPARED))
