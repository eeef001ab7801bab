"""Make the table of a training and the evolution of its features, with published accuracies where there are any."""

from ansatz.files.atomic import write_text
from ansatz.files.evolution import read_evolution
from ansatz.files.tables import METRICS, read_csv, write_csv
from ansatz.job import job
from ansatz.reporting import evolution

with job(snakemake.log[0]):
    params, published = snakemake.params, read_csv(snakemake.input.published)
    published = published[(published.network == params.network["name"]) & (published.dataset == params.dataset)]
    metrics = read_csv(snakemake.input.metrics, METRICS)
    table = evolution.by_epoch(metrics, read_evolution(snakemake.input.evolution), published)
    write_csv(snakemake.output.csv, table.round(6))
    write_text(snakemake.output.markdown, evolution.to_markdown(table))
