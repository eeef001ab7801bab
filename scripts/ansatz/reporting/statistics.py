"""Confidence intervals over seeds."""

import numpy as np
from scipy import stats


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return Student's confidence interval of the mean of `values` (n,).

    NaN for fewer than two values, and for values that are all equal: they say nothing of how values vary.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return np.nan, np.nan
    interval = stats.ttest_1samp(values, popmean=0).confidence_interval(level)
    return float(interval.low), float(interval.high)
