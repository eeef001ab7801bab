"""Figures from tidy tables: curves over epochs, a band over seeds, one panel a dataset, one colour an initializer."""

import os
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ansatz.store import atomic

mpl.use("agg")  # no screen on a cluster

STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.4,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "ansatz",  # the same figure is the same file
    "savefig.dpi": 200,
}
PANEL = (2.9, 2.0)  # inches
LEGEND = 1.25  # inches
BAND = "mean over seeds,\nband: 1 std"

# One look an initializer, in every figure: colours of Okabe and Ito's and of Paul Tol's palettes, for the colour-blind,
# and dashes that tell members of a family apart in grey print too.
LOOKS: dict[str, tuple[str, str | tuple]] = {
    "normal": ("#7f7f7f", "-"),
    "uniform": ("#bbbbbb", "--"),
    "xavier_normal": ("#56b4e9", "-"),
    "xavier_uniform": ("#332288", "--"),
    "kaiming_normal": ("#0072b2", "-"),
    "kaiming_uniform": ("#000000", "-"),
    "orthogonal": ("#b79f00", "-."),
    "kaiming_nfm": ("#d55e00", "-"),
    "nfm": ("#e69f00", "--"),
    "kaiming_agop": ("#009e73", "-"),
    "agop": ("#cc79a7", "--"),
}
OTHER_LOOKS: list[tuple[str, str | tuple]] = [("#882255", "-"), ("#117733", ":"), ("#661100", "-."), ("#aa4499", ":")]


def looks(initializers: Sequence[str]) -> dict[str, tuple[str, str | tuple]]:
    """Return (colour, dashes) of each initializer; those that are not built in take others, in alphabetical order."""
    others = sorted(set(initializers) - set(LOOKS))
    return LOOKS | dict(zip(others, cycle(OTHER_LOOKS), strict=False))


def accuracy(tidy: pd.DataFrame) -> Figure:
    """Draw training and validation accuracy over epochs.

    Parameters
    ----------
    tidy : DataFrame
        As ``tidy.csv``.

    Returns
    -------
    Figure
        Rows: training accuracy (running, dropout on) and validation accuracy; columns: datasets.
    """
    rows = {"train_accuracy": "training accuracy", "validation_accuracy": "validation accuracy"}
    figure = curves(tidy, rows)
    for axes in figure.axes:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def gap(tidy: pd.DataFrame) -> Figure:
    """Draw the gap, validation loss − training loss, over epochs.

    Parameters
    ----------
    tidy : DataFrame
        As ``tidy.csv``.

    Returns
    -------
    Figure
        Rows: the training loss as the study has it (running, dropout on), and in evaluation mode at the epoch's end;
        columns: datasets.
    """
    tidy = tidy.assign(
        running=tidy.validation_loss - tidy.train_loss, evaluated=tidy.validation_loss - tidy.train_eval_loss
    )
    figure = curves(tidy, {"running": "gap (running training loss)", "evaluated": "gap (evaluation mode)"})
    for axes in figure.axes:
        axes.axhline(0, color="black", linewidth=0.6, zorder=1)
    return figure


def curves(tidy: pd.DataFrame, rows: dict[str, str]) -> Figure:
    """Draw columns of a tidy table over epochs: the mean over seeds, with a band of one standard deviation.

    Parameters
    ----------
    tidy : DataFrame
        As ``tidy.csv``; epochs that diverged are left out.
    rows : dict
        Column -> label, a row of panels each.
    """
    datasets = list(tidy.dataset.unique())
    shown = looks(list(tidy.initializer.unique()))
    size = (PANEL[0] * len(datasets) + LEGEND, PANEL[1] * len(rows))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(rows), len(datasets), sharex=True, sharey="row", squeeze=False)
        for row, (column, label) in zip(panels, rows.items(), strict=True):
            for axes, dataset in zip(row, datasets, strict=True):
                _draw(axes, tidy[(tidy.dataset == dataset) & (tidy.status == "ok")], column, shown)
            row[0].set_ylabel(label)
        for axes, dataset in zip(panels[0], datasets, strict=True):
            axes.set_title(dataset)
        for axes in panels[-1]:
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        lines = {line.get_label(): line for axes in figure.axes for line in axes.lines}
        ordered = [name for name in tidy.initializer.unique() if name in lines]
        figure.legend(
            [lines[name] for name in ordered], ordered, loc="outside right upper", handlelength=2.6, title=BAND
        )
    return figure


def _draw(axes: Axes, tidy: pd.DataFrame, column: str, shown: dict[str, tuple[str, str | tuple]]) -> None:
    for initializer, runs in tidy.groupby("initializer", sort=False):
        over_seeds = runs.groupby("epoch")[column].agg(["mean", "std"]).fillna(0)
        colour, dashes = shown[str(initializer)]
        axes.plot(over_seeds.index, over_seeds["mean"], color=colour, linestyle=dashes, label=initializer)
        low, high = over_seeds["mean"] - over_seeds["std"], over_seeds["mean"] + over_seeds["std"]
        axes.fill_between(over_seeds.index, low, high, color=colour, alpha=0.12, linewidth=0)


def save(figure: Figure, *paths: str | os.PathLike[str]) -> None:
    """Write a figure to each path, in the format of its ending; without a date, so that it repeats byte by byte."""
    with mpl.rc_context(STYLE):
        for path in paths:
            form = Path(path).suffix[1:]
            with atomic(path) as temporary:
                figure.savefig(temporary, format=form, metadata={"Date": None} if form == "svg" else None)


CURVES = {"accuracy": accuracy, "gap": gap}
