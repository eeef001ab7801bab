"""Make the results table: as data, in Markdown and in LaTeX."""

from ansatz import statistics
from ansatz.job import job
from ansatz.store import OUTCOME, RESOURCES, RUN, read_csv, write_csv, write_text

with job(snakemake.log[0]):
    summary = statistics.summarize(read_csv(snakemake.input.runs, RUN + OUTCOME))
    summary = statistics.with_published(summary, read_csv(snakemake.input.published))
    write_csv(snakemake.output.csv, summary.round(6))
    caption = statistics.caption(read_csv(snakemake.input.resources, RUN + RESOURCES))
    write_text(snakemake.output.markdown, statistics.to_markdown(summary, caption))
    write_text(snakemake.output.latex, statistics.to_latex(summary, caption))
