"""How numbers are written in the cells of tables."""

from typing import Any

import numpy as np


def mean_and_spread(mean: float, spread: float, form: str = ".2f", plus_minus: str = "±") -> str:
    """Return a mean and its standard deviation, such as ``1.00 ± 0.25``; without the latter where it is NaN."""
    return f"{mean:{form}}" + ("" if np.isnan(spread) else f" {plus_minus} {spread:{form}}")


def difference_and_interval(row: Any, form: str = "+.2f", minus: str = "−") -> str:
    """Return a difference of accuracies and its interval in percentage points, such as ``+5.00 [+2.52, +7.48]``.

    Parameters
    ----------
    row : row of a DataFrame
        With ``difference``, ``difference_low`` and ``difference_high`` in 0..1. The cell is empty where the first is
        NaN, and has no interval where the others are.
    form : str
        How each number is written.
    minus : str
        The sign of negative numbers.
    """
    if np.isnan(row.difference):
        return ""
    numbers = (row.difference, row.difference_low, row.difference_high)
    mean, low, high = (f"{100 * number:{form}}".replace("-", minus) for number in numbers)
    return mean if np.isnan(row.difference_low) else f"{mean} [{low}, {high}]"


def or_dash(cell: str) -> str:
    """Return the cell, or a dash where its number is NaN, such as the correlation with a matrix that is zero."""
    return "–" if cell.startswith("nan") else cell
