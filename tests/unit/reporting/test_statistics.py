"""Intervals over seeds against SciPy and by hand."""

import warnings

import numpy as np
import pytest
from scipy import stats

from ansatz.reporting.statistics import mean_interval


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


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_values_have_no_interval(count):
    assert np.isnan(mean_interval(np.zeros(count))).all()
