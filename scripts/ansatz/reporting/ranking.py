"""How initializers rank over all datasets."""

import numpy as np
import pandas as pd

from ansatz.reporting.formatting import with_interval
from ansatz.reporting.statistics import FEWEST, bootstrap_interval


def rank(runs: pd.DataFrame, baseline: str, resamples: int = 10_000) -> pd.DataFrame:
    """Rank initializers over datasets and seeds, by the best validation accuracy.

    Parameters
    ----------
    runs : DataFrame
        As ``runs.csv``; runs that diverged are worse than all others.
    baseline : str
        The initializer that the others are to improve on.
    resamples : int
        As for `bootstrap_interval`.

    Returns
    -------
    DataFrame
        One row for each initializer, the best first: its mean ``rank`` among those with the same dataset and seed, from
        1, the best, where equal accuracies share their mean rank; and ``improvement``, the probability to be better
        than the baseline with the same dataset and seed, where equal accuracies count half, NaN for the baseline. Each
        has a 95 % interval over datasets and seeds, in columns that end in ``_low`` and ``_high``.

    Notes
    -----
    The probability of improvement is that of Agarwal et al. (2021), Deep reinforcement learning at the edge of the
    statistical precipice; they compare all pairs of runs on a dataset, and we those that share a seed, as these differ
    in nothing but their filters.
    """
    accuracy = runs.best_validation_accuracy.astype(float).where(runs.status != "diverged", -np.inf)
    table = runs.assign(accuracy=accuracy).pivot(index=["dataset", "seed"], columns="initializer", values="accuracy")
    ranks = table.rank(axis=1, ascending=False)
    wins = table.gt(table[baseline], axis=0) + table.eq(table[baseline], axis=0) / 2
    groups = [
        np.hstack([ranks.loc[dataset], wins.loc[dataset]])  # (seeds, 2 * initializers)
        for dataset in table.index.unique("dataset")
    ]
    means = np.mean([group.mean(axis=0) for group in groups], axis=0)
    low, high = bootstrap_interval(groups, resamples=resamples)
    result = pd.DataFrame({"initializer": table.columns})
    for name, half in ("rank", slice(len(result))), ("improvement", slice(len(result), None)):
        result[[name, f"{name}_low", f"{name}_high"]] = np.transpose([means[half], low[half], high[half]])
    result.loc[result.initializer == baseline, ["improvement", "improvement_low", "improvement_high"]] = np.nan
    return result.sort_values("rank", kind="stable", ignore_index=True)


def to_markdown(ranking: pd.DataFrame, baseline: str) -> str:
    """Return the ranking in Markdown; `ranking` as from `rank`."""
    better = f"better than {baseline} [95 %]"
    table = ranking[["initializer"]].copy()
    table["mean rank [95 %]"] = [with_interval(row.rank, row.rank_low, row.rank_high) for row in ranking.itertuples()]
    table[better] = [
        with_interval(row.improvement, row.improvement_low, row.improvement_high) or "baseline"
        for row in ranking.itertuples()
    ]
    return (
        "Over all datasets: the mean rank of the best validation accuracy among all initializers with the same dataset "
        f"and seed, and the probability that it is better than that of {baseline}. Intervals are those of a "
        f"hierarchical bootstrap over datasets and seeds, and need at least {FEWEST} pairs of a dataset and a seed.\n\n"
        f"{table.to_markdown(index=False, disable_numparse=True)}\n"
    )
