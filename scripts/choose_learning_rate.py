"""Choose the learning rate of a dataset and an initializer: the one that trained best."""

from ansatz.files.results import read_results
from ansatz.job import job
from ansatz.training.tuning import best_rate, write_choice

with job(snakemake.log[0]) as log:
    pairs = zip(snakemake.input.metrics, snakemake.input.summaries, strict=True)
    rate = best_rate([read_results(*pair)[1] for pair in pairs])
    log.info("%s: learning rate %g", snakemake.wildcards.tuning, rate)
    write_choice(snakemake.output.chosen, rate)
