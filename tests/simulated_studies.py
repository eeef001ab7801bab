"""Studies whose truth is known: their runs are drawn, not trained."""

import numpy as np
import pandas as pd
from scipy import stats

from ansatz.reporting import initialization, ranking

BASELINE = "i0"
NOISE, SEED_NOISE = 0.01, 0.02  # standard deviations of a run, and of a seed, which all initializers share


def study(effects, datasets, seeds, generator, varying=0.0):
    """Draw the runs of a study.

    Accuracies are 0.8, plus the effect of the initializer, plus what it gains on that dataset (standard deviation
    `varying`), plus the noise of the seed and of the run. Returns ``runs`` as in runs.csv, and the true means
    (datasets, initializers).
    """
    means = 0.8 + np.asarray(effects) + generator.normal(0, varying, (datasets, len(effects)))
    shared = generator.normal(0, SEED_NOISE, (datasets, seeds, 1))
    accuracy = means[:, None] + shared + generator.normal(0, NOISE, (datasets, seeds, len(effects)))
    dataset, seed, initializer = np.indices(accuracy.shape).reshape(3, -1)
    runs = {"dataset": dataset, "initializer": initializer, "seed": seed, "best_validation_accuracy": accuracy.ravel()}
    runs = pd.DataFrame(runs).assign(status="finished", test_accuracy=np.nan)
    return runs.assign(initializer="i" + runs.initializer.astype(str)), means


def tables(repetitions, effects, datasets, seeds, varying=0.0, seed=0):
    """Yield the summary of each drawn study, with its true differences to the baseline in the column ``truth``."""
    generator = np.random.default_rng(seed)
    for _ in range(repetitions):
        runs, means = study(effects, datasets, seeds, generator, varying)
        yield initialization.summarize(runs, BASELINE).assign(truth=(means - means[:, :1]).ravel())


def ranks(repetitions, effects, datasets, seeds, varying=0.0, seed=0):
    """Yield the ranking of each drawn study, in the order of the initializers."""
    generator = np.random.default_rng(seed)
    for _ in range(repetitions):
        runs, _ = study(effects, datasets, seeds, generator, varying)
        yield ranking.rank(runs, BASELINE).sort_values("initializer", ignore_index=True)


def true_ranks(effects, varying=0.0):
    """Return the mean rank of each initializer, and the probability that it is better than the baseline.

    The latter from the normal distribution; the former is one plus the probabilities that others are better.
    """
    effects = np.asarray(effects)
    worse = effects[:, None] - effects  # [i, j]: by how much i is better than j
    better = stats.norm.cdf(worse / np.sqrt(2 * (NOISE**2 + varying**2)))
    return 1 + (1 - better).sum(axis=1) - 0.5, better[:, 0]
