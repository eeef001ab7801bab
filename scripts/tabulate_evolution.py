"""Make the table of a training that was followed, with the published numbers beside it."""

from ansatz import statistics
from ansatz.job import job
from ansatz.store import METRICS, read_csv, read_evolution, write_csv, write_text

with job(snakemake.log[0]):
    metrics, params = read_csv(snakemake.input.metrics, METRICS), snakemake.params
    published = read_csv(snakemake.input.published)
    mine = (published.network == params.network["name"]) & (published.dataset == params.dataset)
    table = statistics.evolved(metrics, read_evolution(snakemake.input.evolution), published[mine])
    write_csv(snakemake.output.csv, table.round(6))
    write_text(snakemake.output.markdown, statistics.evolution_to_markdown(table))
