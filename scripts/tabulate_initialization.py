"""Make the table of the initialization study: as CSV, in Markdown, HTML and LaTeX."""

from ansatz.files.atomic import write_text
from ansatz.files.tables import OUTCOME, RESOURCES, RUN, read_csv, write_csv
from ansatz.job import job
from ansatz.reporting import initialization, ranking, tuning

with job(snakemake.log[0]) as log:
    runs, baseline = read_csv(snakemake.input.runs, RUN + OUTCOME), snakemake.params.baseline
    summary, ranks = initialization.summarize(runs, baseline), ranking.rank(runs, baseline)
    summary = initialization.with_published(summary, read_csv(snakemake.input.published), snakemake.params.as_published)
    if snakemake.input.tuning:
        rates = read_csv(snakemake.input.tuning)
        summary = tuning.with_rates(summary, rates)
        for line in tuning.warnings_of(rates):
            log.warning(line)
    write_csv(snakemake.output.csv, summary.round(6))
    write_csv(snakemake.output.ranking, ranks.round(6))
    cost = initialization.cost(read_csv(snakemake.input.resources, RUN + RESOURCES))
    caption = f"{initialization.caption(summary)} {cost}"
    tables = initialization.to_markdown(summary, caption), ranking.to_markdown(ranks, baseline)
    write_text(snakemake.output.markdown, "\n".join(tables))
    write_text(snakemake.output.html, initialization.to_html(summary, caption))
    write_text(snakemake.output.latex, initialization.to_latex(summary, caption))
