"""Whether the statistics of the tables keep what they promise, on drawn studies whose truth is known.

PYTHONPATH=scripts:tests python -m benchmarks.statistics
"""

import numpy as np
import pandas as pd

from ansatz.reporting.initialization import ALPHA
from simulated_studies import ranks, tables, true_ranks

REPETITIONS = 1000
GRIDS = [(1, 3), (1, 5), (4, 3), (4, 5)]  # datasets, seeds
NO_EFFECT = np.zeros(6)  # of six initializers
EFFECTS = np.array([0, 0, 0, 0.01, 0.01, 0.02])  # three are better than the baseline and two others
VARYING = 0.01  # standard deviation over datasets of what an initializer gains


def measure(datasets: int, seeds: int, repetitions: int = REPETITIONS) -> dict[str, float]:
    """Return how often each statistic says what it should, or should not."""
    varying = VARYING if datasets > 1 else 0.0
    some, none = (list(tables(repetitions, effects, datasets, seeds)) for effects in (EFFECTS, NO_EFFECT))
    varied = tables(repetitions, EFFECTS, datasets, seeds, varying)
    lists = list(ranks(repetitions, EFFECTS, datasets, seeds, varying))
    rank, improvement = true_ranks(EFFECTS, varying)
    return {
        "t intervals that hold the true difference (95 %)": np.mean([_covered(table) for table in varied]),
        "studies without effects in which a t interval excludes 0": np.mean(
            [((table.difference_low > 0) | (table.difference_high < 0)).any() for table in none]
        ),
        "studies without effects in which p < 0.05 (≤ 5 %)": np.mean([(table.p < ALPHA).any() for table in none]),
        "studies in which one of two without effect has p < 0.05 beside three with (≤ 5 %)": np.mean(
            [(_of(table, "i1", "i2").p < ALPHA).any() for table in some]
        ),
        "effects of 2 points that have p < 0.05": np.mean([(_of(table, "i5").p < ALPHA).mean() for table in some]),
        "not bold, but best (≤ 5 %)": np.mean([(_of(table, "i5").p_best < ALPHA).mean() for table in some]),
        "not bold, but as good as all others (≤ 5 %)": np.mean([(table.p_best < ALPHA).mean() for table in none]),
        "bold, but 1 point or more below the best": np.mean(
            [(_of(table, "i0", "i1", "i2", "i3", "i4").p_best >= ALPHA).mean() for table in some]
        ),
        "intervals that hold the true mean rank (95 %)": np.nanmean(
            [_held(table.rank_low, rank, table.rank_high) for table in lists]
        ),
        "intervals that hold the true probability of improvement (95 %)": np.nanmean(
            [_held(table.improvement_low, improvement, table.improvement_high) for table in lists]
        ),
    }


def _of(table: pd.DataFrame, *initializers: str) -> pd.DataFrame:
    return table[table.initializer.isin(initializers)]


def _covered(table: pd.DataFrame) -> float:
    compared = table[table.initializer != table.baseline]
    return compared.truth.between(compared.difference_low, compared.difference_high).mean()


def _held(low: pd.Series, truth: np.ndarray, high: pd.Series) -> np.ndarray:
    """Return whether each interval holds the truth; NaN where there is no interval."""
    return np.where(low.isna(), np.nan, (low <= truth) & (truth <= high))


if __name__ == "__main__":
    columns = {f"{datasets} × {seeds}": measure(datasets, seeds) for datasets, seeds in GRIDS}
    print(f"n = {REPETITIONS}; datasets × seeds, each with 6 initializers\n")
    print(pd.DataFrame(columns).map(lambda rate: "–" if np.isnan(rate) else f"{rate:.1%}").to_markdown())
