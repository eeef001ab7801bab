"""Whether the statistics keep what they promise, on drawn studies whose truth is known.

``tests/benchmarks/statistics.py`` measures the same with more repetitions.
"""

import numpy as np
import pytest
from scipy import stats

from simulated_studies import NOISE, ranks, study, tables, true_ranks

REPETITIONS = 100
CHANCE = 1e-4  # that a statistic which keeps its promise fails its test


def at_most(rate):
    """Return the count that a rate exceeds by chance alone."""
    return stats.binom.ppf(1 - CHANCE, REPETITIONS, rate)


@pytest.fixture(scope="module")
def without_effects():
    return list(tables(REPETITIONS, np.zeros(5), datasets=2, seeds=4))


def test_intervals_hold_the_true_difference():
    """One comparison of each study, as those that share a baseline are not independent."""
    drawn = [table.iloc[1] for table in tables(REPETITIONS, [0, 0.01, 0.02], datasets=1, seeds=3, varying=0.01)]
    missed = sum(not row.difference_low <= row.truth <= row.difference_high for row in drawn)
    assert 0 < missed <= at_most(0.05)


def test_corrected_p_values_call_hardly_any_study_without_effects_different(without_effects):
    assert sum((table.p < 0.05).any() for table in without_effects) <= at_most(0.05)
    single = sum(((table.difference_low > 0) | (table.difference_high < 0)).any() for table in without_effects)
    assert single > at_most(0.05), "intervals are not corrected, and would"


def test_hardly_any_initializer_as_good_as_all_others_is_told_from_the_best(without_effects):
    assert sum(table.p_best.iloc[0] < 0.05 for table in without_effects) <= at_most(0.05)


def test_large_effects_are_found():
    drawn = list(tables(20, [0, 0, 10 * NOISE], datasets=1, seeds=5))
    assert all(table.p[2] < 0.05 for table in drawn)
    assert all(table.p_best[0] < 0.05 for table in drawn)


@pytest.mark.parametrize(("datasets", "seeds", "varying"), [(1, 6, 0.0), (4, 3, 0.01)])
def test_bootstrap_intervals_hold_the_true_ranking(datasets, seeds, varying):
    effects = [0, 0.005, 0.02]
    rank, improvement = true_ranks(effects, varying)
    drawn = list(ranks(REPETITIONS, effects, datasets, seeds, varying))
    for name, truth in ("rank", rank[1]), ("improvement", improvement[1]):
        missed = sum(
            not row[f"{name}_low"] <= truth <= row[f"{name}_high"] for row in (table.iloc[1] for table in drawn)
        )
        assert missed <= at_most(0.1), name


def test_the_true_ranking_is_that_of_many_runs():
    effects, varying = [0, 0.005, 0.02], 0.01
    runs, _ = study(effects, 4000, 1, np.random.default_rng(0), varying)
    table = runs.pivot(index=["dataset", "seed"], columns="initializer", values="best_validation_accuracy")
    rank, improvement = true_ranks(effects, varying)
    assert table.rank(axis=1, ascending=False).mean().tolist() == pytest.approx(rank, abs=0.05)
    assert table.gt(table.i0, axis=0).mean()[1:].tolist() == pytest.approx(improvement[1:], abs=0.04)
