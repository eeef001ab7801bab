"""Choose the learning rate of a dataset and an initializer: the one that trained best."""

from ansatz.files.atomic import write_json
from ansatz.files.results import read_results
from ansatz.job import job
from ansatz.training.tuning import best_rate

with job(snakemake.log[0]) as log:
    pairs = zip(snakemake.input.metrics, snakemake.input.summaries, strict=True)
    rate = best_rate([read_results(*pair)[1] for pair in pairs])
    log.info("%s: learning rate %g", snakemake.wildcards.tuning, rate)
    # Nothing else is written: as long as the rate is the same, no training depends on how it was chosen.
    write_json(snakemake.output.chosen, {"learning_rate": rate})
