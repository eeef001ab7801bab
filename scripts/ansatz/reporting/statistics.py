"""Intervals, tests and their correction for many comparisons."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

FEWEST = 5  # values, without which the bootstrap gives no interval: the range of 4 holds their mean in 88 % at most


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return Student's confidence interval of the mean of `values` (n,).

    NaN for fewer than two values, and for values that are all equal: they say nothing of how values vary.
    """
    if not _vary(values):
        return np.nan, np.nan
    interval = stats.ttest_1samp(values, popmean=0).confidence_interval(level)
    return float(interval.low), float(interval.high)


def mean_p_value(values: np.ndarray) -> float:
    """Return the two-sided p-value of Student's t test that the mean of `values` (n,) is 0.

    NaN where there is no `mean_interval`.
    """
    return float(stats.ttest_1samp(values, popmean=0).pvalue) if _vary(values) else np.nan


def _vary(values: np.ndarray) -> bool:
    return len(values) > 1 and np.ptp(values) > 0


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values (n,) for their number, by Holm's step-down procedure; NaN are not counted, and stay.

    At any level, the probability to reject a true hypothesis at all is then at most the level, however the tests
    depend on each other.

    References
    ----------
    Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6, 65-70.
    """
    order = np.argsort(p_values)  # NaN come last
    remaining = np.isfinite(p_values).sum() - np.arange(len(p_values))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * remaining), 1)
    return corrected


def bootstrap_interval(
    groups: Sequence[np.ndarray], level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the hierarchical bootstrap's confidence interval of the mean over groups of their means.

    Groups are drawn with replacement, and then values within each of them. The interval is the percentile interval,
    expanded for the number of groups (of values, if there is one group); without that, it would be too narrow.

    Parameters
    ----------
    groups : sequence of ndarray
        Each (values, k); the means of k quantities are bounded at once, from the same draws.
    level : float
    resamples : int
    seed : int

    Returns
    -------
    low, high : ndarray
        (k,); NaN for fewer than `FEWEST` values in all, and where the values do not vary.

    References
    ----------
    Hesterberg (2015). What teachers should know about the bootstrap. The American Statistician 69, 371-386
    (the expansion).
    """
    if sum(map(len, groups)) < FEWEST:
        nothing = np.full(groups[0].shape[1], np.nan)
        return nothing, nothing
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(groups), size=(resamples, len(groups)))
    means = np.empty((*drawn.shape, groups[0].shape[1]))  # (resamples, groups, k)
    for number, values in enumerate(groups):
        places = drawn == number
        counts = generator.multinomial(len(values), np.full(len(values), 1 / len(values)), size=places.sum())
        means[places] = counts @ values / len(values)
    units = len(groups) if len(groups) > 1 else len(groups[0])
    tail = stats.norm.cdf(np.sqrt(units / (units - 1)) * stats.t.ppf((1 - level) / 2, units - 1))
    low, high = np.quantile(means.mean(axis=1), [tail, 1 - tail], axis=0)
    varies = low < high
    return np.where(varies, low, np.nan), np.where(varies, high, np.nan)
