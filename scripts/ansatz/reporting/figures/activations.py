"""How strongly layers respond before training."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ansatz.reporting.figures.catalogue import figure
from ansatz.reporting.figures.palette import styles
from ansatz.reporting.figures.style import PANEL, STYLE

ENTRY = 0.16  # inches of a line of the legend
WIDE_LEGEND = 1.8  # inches, for names such as kaiming_agop_shuffled+lsuv


@figure
def activations(table: pd.DataFrame) -> Figure:
    """Draw the standard deviation of each convolution's outputs in initial networks, from the first layer to the last.

    Parameters
    ----------
    table : DataFrame
        As ``activations.csv``: a row per layer, with the columns of `ansatz.files.tables.ACTIVATIONS`.

    Returns
    -------
    Figure
        A panel for each dataset, with a logarithmic axis. The legend is in the order in which the lines end, from the
        largest outputs to the smallest; those that are zero or no finite numbers are not drawn.
    """
    datasets, runs = list(table.dataset.unique()), ["dataset", "initializer", "seed"]
    last = table.groupby(runs, sort=False).tail(1).fillna({"std": np.inf}).groupby("initializer", sort=False)["std"]
    initializers = list(last.max().round(2).sort_values(ascending=False, kind="stable").index)
    drawn = table["std"].where(np.isfinite(table["std"]) & (table["std"] > 0))
    table = table.assign(std=drawn, number=table.groupby(runs).cumcount() + 1)
    style_of = styles(initializers)
    size = (PANEL[0] * len(datasets) + WIDE_LEGEND, max(1.2 * PANEL[1], ENTRY * len(initializers) + 0.6))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
        for axes, dataset in zip(panels, datasets, strict=True):
            for initializer in initializers:
                rows = table[(table.dataset == dataset) & (table.initializer == initializer)]
                style = style_of[initializer]
                axes.plot(rows.number, rows["std"], **style.marked, label=initializer)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.axhline(1, color="black", linewidth=0.6, zorder=1)
            axes.set_title(dataset)
            axes.set_xlabel("convolution")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[0].set_ylabel("standard deviation of outputs\nbefore training")
        handles = panels[0].lines[: len(initializers)]
        title = "in the order of\nthe last layer"
        figure.legend(handles, initializers, loc="outside right upper", handlelength=2.6, title=title)
    return figure
