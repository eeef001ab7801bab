"""Confidence intervals over seeds."""

import warnings

import numpy as np
from scipy import stats


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return Student's confidence interval of the mean of `values` (n,); NaN for fewer than two values."""
    if len(values) < 2:
        return np.nan, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal values have an interval too: their mean
        interval = stats.ttest_1samp(values, popmean=0).confidence_interval(level)
    return float(interval.low), float(interval.high)
