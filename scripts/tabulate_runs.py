"""Make the results table: as data, in Markdown and in LaTeX."""

from pathlib import Path

from ansatz import statistics
from ansatz.job import job
from ansatz.store import read_csv, write_csv

with job(snakemake.log[0]):
    summary = statistics.summarize(read_csv(snakemake.input.runs))
    summary = statistics.with_published(summary, read_csv(snakemake.input.published))
    write_csv(snakemake.output.csv, summary.round(6))
    Path(snakemake.output.markdown).write_text(statistics.to_markdown(summary))
    Path(snakemake.output.latex).write_text(statistics.to_latex(summary))
