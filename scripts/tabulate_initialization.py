"""Make the table of the initialization study: as CSV, in Markdown and in LaTeX."""

from ansatz.files.atomic import write_text
from ansatz.files.tables import OUTCOME, RESOURCES, RUN, read_csv, write_csv
from ansatz.job import job
from ansatz.reporting import initialization

with job(snakemake.log[0]):
    summary = initialization.summarize(read_csv(snakemake.input.runs, RUN + OUTCOME), snakemake.params.baseline)
    summary = initialization.with_published(summary, read_csv(snakemake.input.published))
    write_csv(snakemake.output.csv, summary.round(6))
    caption = initialization.caption(read_csv(snakemake.input.resources, RUN + RESOURCES))
    write_text(snakemake.output.markdown, initialization.to_markdown(summary, caption))
    write_text(snakemake.output.latex, initialization.to_latex(summary, caption))
