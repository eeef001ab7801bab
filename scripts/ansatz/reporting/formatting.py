"""How numbers are written in the cells of tables, and layers in figures."""

import re
from typing import Any

import numpy as np

BLOCK = re.compile(r"^.*?(\d+)\.(.+)$")  # the name of a layer: its block's number, and what it is in the block
LONG = 20  # characters of a name, which figures shorten or fold


def mean_and_spread(mean: float, spread: float, form: str = ".2f") -> str:
    """Return a mean and its standard deviation, such as ``1.00 ± 0.25``; without the latter where it is NaN."""
    return f"{mean:{form}}" + ("" if np.isnan(spread) else f" ± {spread:{form}}")


def with_interval(value: float, low: float, high: float, form: str = ".2f") -> str:
    """Return a number and its interval, such as ``1.40 [1.10, 2.00]``, with a minus sign where it is negative.

    The cell is empty where `value` is NaN, and has no interval where the others are.
    """
    if np.isnan(value):
        return ""
    value_, low_, high_ = (f"{number:{form}}".replace("-", "−") for number in (value, low, high))
    return value_ if np.isnan(low) else f"{value_} [{low_}, {high_}]"


def difference_and_interval(row: Any, form: str = "+z.2f") -> str:
    """Return a difference of accuracies and its interval in percentage points, such as ``+5.00 [+2.52, +7.48]``.

    Parameters
    ----------
    row : row of a DataFrame
        With ``difference``, ``difference_low`` and ``difference_high`` in 0..1.
    form : str
        How each number is written.
    """
    return with_interval(100 * row.difference, 100 * row.difference_low, 100 * row.difference_high, form)


def p_value(p: float) -> str:
    """Return a p-value with three decimals; a dash where it is NaN."""
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def or_dash(cell: str) -> str:
    """Return the cell, or a dash where its number is NaN, such as the correlation with a matrix that is zero."""
    return "–" if cell.startswith("nan") else cell


def short(layer: str) -> str:
    """Return a layer's name for a figure: of a long one, its block's number and what it is there, as in ``0.q``."""
    part = BLOCK.match(layer)
    return f"{part[1]}.{part[2].rpartition('attention.')[2]}" if part and len(layer) > LONG else layer


def folded(name: str) -> str:
    """Return a name, in two lines if it is long, of which the second begins with one of its separators."""
    cut = max(name.rfind(mark, 1, LONG) for mark in "@+_") if len(name) > LONG else -1
    return name if cut < 0 else f"{name[:cut]}\n{name[cut:]}"
