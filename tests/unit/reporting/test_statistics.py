"""Intervals over seeds against SciPy and by hand."""

import warnings

import numpy as np
import pytest
from scipy import stats

from ansatz.reporting.statistics import bootstrap_interval, holm, mean_interval, mean_p_value
from multiple_tests import holm_by_definition


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_interval_of_a_mean_is_students(count):
    values = np.random.default_rng(count).normal(size=count)
    half = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)
    assert mean_interval(values) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-12)


@pytest.mark.parametrize("count", [2, 3])
def test_equal_values_have_no_interval(count):
    """They say nothing of how values vary; an interval of no width would claim certainty."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(mean_interval(np.full(count, 0.3))).all()
        assert np.isnan(mean_p_value(np.full(count, 0.3)))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_values_have_no_interval(count):
    assert np.isnan(mean_interval(np.zeros(count))).all()
    assert np.isnan(mean_p_value(np.zeros(count)))


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_p_value_of_a_mean_is_students(count):
    values = np.random.default_rng(count).normal(size=count)
    t = values.mean() / values.std(ddof=1) * np.sqrt(count)
    assert mean_p_value(values) == pytest.approx(2 * stats.t.sf(abs(t), count - 1), rel=1e-12)
    low, high = mean_interval(values, 1 - mean_p_value(values))
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9), "the level at which the interval ends at 0"


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_holms_correction_is_the_level_at_which_the_procedure_rejects(count):
    p_values = np.random.default_rng(count).random(count) ** 3
    assert holm(p_values) == pytest.approx(holm_by_definition(list(p_values)))


def test_holms_correction_of_an_example():
    """Of the smallest p-value times 4, the second times 3, and so on; never less than of a smaller one."""
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_p_values_that_do_not_exist_are_not_counted():
    corrected = holm(np.array([np.nan, 0.02, np.nan, 0.03]))
    assert np.isnan(corrected).tolist() == [True, False, True, False]
    assert corrected[[1, 3]] == pytest.approx([0.04, 0.04])
    assert np.isnan(holm(np.full(2, np.nan))).all()
    assert len(holm(np.empty(0))) == 0


def bootstrap_by_definition(groups, tail, resamples):
    """Return quantiles of the mean over drawn groups of the means of values drawn in each."""
    generator = np.random.default_rng(1)
    means = []
    for _ in range(resamples):
        drawn = [groups[number] for number in generator.integers(len(groups), size=len(groups))]
        means.append(np.mean([generator.choice(group, len(group)).mean() for group in drawn]))
    return np.quantile(means, [tail, 1 - tail])


@pytest.mark.parametrize("sizes", [[8], [3, 3], [5, 4, 6, 5]])
def test_the_bootstrap_draws_groups_and_then_values(sizes):
    generator = np.random.default_rng(0)
    groups = [generator.normal(3 * number, 1, size) for number, size in enumerate(sizes)]
    low, high = bootstrap_interval([np.stack([group, -group], axis=1) for group in groups], level=0.8)
    units = len(sizes) if len(sizes) > 1 else sizes[0]
    tail = stats.norm.cdf(stats.t.ppf(0.1, units - 1) * np.sqrt(units / (units - 1)))
    expected = bootstrap_by_definition(groups, tail, 4000)
    assert [low[0], high[0]] == pytest.approx(expected, abs=0.12 * np.ptp(expected))
    assert [low[1], high[1]] == pytest.approx([-high[0], -low[0]]), "all quantities from the same draws"


def test_the_bootstrap_repeats():
    groups = [np.random.default_rng(number).normal(size=(5, 2)) for number in range(3)]
    np.testing.assert_array_equal(bootstrap_interval(groups), bootstrap_interval(groups))
    assert not np.array_equal(bootstrap_interval(groups), bootstrap_interval(groups, seed=1))


def test_the_bootstrap_bounds_nothing_from_few_or_equal_values():
    assert np.isnan(bootstrap_interval([np.arange(4.0)[:, None]])).all()
    assert np.isnan(bootstrap_interval([np.arange(2.0)[:, None]] * 2)).all()
    low, high = bootstrap_interval([np.stack([np.ones(6), np.arange(6)], axis=1)])
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] < 2.5 < high[1]
