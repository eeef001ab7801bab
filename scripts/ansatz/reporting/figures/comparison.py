"""Comparisons of the initializers: how fast they learn."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ansatz.reporting.figures.catalogue import figure
from ansatz.reporting.figures.palette import Style, styles
from ansatz.reporting.figures.style import STYLE, TINY
from ansatz.reporting.speed import MARGIN

ROW = 0.19  # inches, of an initializer
MEASURES = {
    "target_epochs": "epochs to target",
    "area": "validation accuracy,\nmean over epochs",
    "first_accuracy": "validation accuracy\nafter 1 epoch",
}  # columns of speed.csv -> labels


@figure
def speed(speed: pd.DataFrame) -> Figure:
    """Draw how fast networks learned.

    Parameters
    ----------
    speed : DataFrame
        As ``speed.csv``.

    Returns
    -------
    Figure
        A row of panels for each dataset: epochs until the target, the mean validation accuracy over epochs, and that
        after one epoch. A point is a seed, a bar the median (of epochs) or mean over seeds; triangles at the right edge
        are seeds that never reached the target.
    """
    datasets, initializers = list(speed.dataset.unique()), list(speed.initializer.unique())
    style_of = styles(initializers)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, len(datasets) * (0.35 + ROW * len(initializers)) + 0.5), layout="constrained")
        panels = figure.subplots(len(datasets), len(MEASURES), sharex="col", sharey=True, squeeze=False)
        panels[0][0].set_yticks(range(len(initializers)), initializers)
        panels[0][0].set_ylim(len(initializers) - 0.5, -0.5)
        panels[0][0].set_xlim(0, speed.epochs.max() + 1)
        panels[0][0].text(speed.epochs.max() + 0.6, -0.5, "never", ha="center", va="bottom", fontsize=TINY)
        for row, dataset in zip(panels, datasets, strict=True):
            runs = speed[speed.dataset == dataset]
            for axes, measure in zip(row, MEASURES, strict=True):
                for position, initializer in enumerate(initializers):
                    own = runs[runs.initializer == initializer]
                    _draw_seeds(axes, position, own, measure, style_of[initializer])
            row[0].set_title(f"{dataset}: {_target(runs.target.iloc[0], runs.baseline.iloc[0])}", loc="left")
        for axes, label in zip(panels[-1], MEASURES.values(), strict=True):
            axes.set_xlabel(label)
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panels[-1][0].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[-1][0].xaxis.set_major_formatter("{x:g}")
    return figure


def _target(target: float, baseline: str) -> str:
    if np.isnan(target):
        return f"no target, as {baseline} diverged"
    return f"target {target:.1%} ({baseline} − {100 * MARGIN:g} point)"


def _draw_seeds(axes: Axes, position: int, runs: pd.DataFrame, measure: str, style: Style) -> None:
    """Draw the seeds of an initializer beside each other, and their median (of epochs) or mean."""
    values, heights = runs[measure].to_numpy(float), position + _beside(len(runs))
    axes.plot(values, heights, "o", color=style.colour, markersize=3, alpha=0.7)
    middle = np.nanmean(values) if np.isfinite(values).any() else np.nan
    if measure == "target_epochs":
        never = np.isnan(values)
        middle = np.median(np.where(never, np.inf, values))
        axes.plot(np.full(never.sum(), axes.get_xlim()[1] - 0.4), heights[never], ">", color=style.colour, markersize=3)
    if np.isfinite(middle):
        axes.plot([middle, middle], [position - 0.35, position + 0.35], color=style.colour, linewidth=1.6)


def _beside(count: int) -> np.ndarray:
    return np.linspace(-0.22, 0.22, count) if count > 1 else np.zeros(1)
