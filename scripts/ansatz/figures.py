"""Figures: curves from tidy tables, and pictures of feature matrices from arrays.

Curves go over epochs, with a band over seeds, one panel a dataset, one colour an initializer.
"""

import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
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

PICTURES = STYLE | {
    "axes.grid": False,
    "axes.spines.left": False,
    "axes.spines.bottom": False,
    "xtick.bottom": False,
    "xtick.labelbottom": False,
    "ytick.left": False,
    "ytick.labelleft": False,
    "image.interpolation": "nearest",  # pixels stay pixels
    "figure.constrained_layout.w_pad": 0.02,  # inches
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.wspace": 0,
    "figure.constrained_layout.hspace": 0,
}
SIDES = ("left", "right", "top", "bottom")
FRAMED = PICTURES | {f"axes.spines.{side}": True for side in SIDES} | {"axes.linewidth": 0.3, "axes.edgecolor": "0.5"}
TEXT_WIDTH = 6.9  # inches, of a page of two columns
SQUARE = 1.9  # inches, of a heat map
PATCH = 0.5  # inches, of a patch
GAP, MARGIN = 0.05, 0.22  # inches, between panels, and for the names of rows
TINY = 6  # points, of text beside panels as small as those
LAYERS = 16  # that a figure has room for

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


# ------------------------------------------------------------------------------------------------- feature matrices
def heat_maps(matrices: Mapping[str, np.ndarray], correlation: float | None = None) -> Figure:
    """Draw feature matrices side by side, each by its largest magnitude, in one scale of colours about zero.

    Parameters
    ----------
    matrices : mapping of str to ndarray
        Title -> (patch, patch).
    correlation : float, optional
        What the title of the whole says.
    """
    with mpl.rc_context(PICTURES):
        figure = Figure(figsize=((SQUARE + 0.1) * len(matrices) + 0.6, SQUARE + 0.4), layout="constrained")
        panels = figure.subplots(1, len(matrices), squeeze=False)[0]
        for axes, (title, matrix) in zip(panels, matrices.items(), strict=True):
            drawn = axes.imshow(matrix / _largest(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
            axes.spines[:].set_visible(True)  # as the map itself may be white there
            axes.set_title(title)
        with mpl.rc_context({"ytick.right": True}):
            bar = figure.colorbar(drawn, ax=panels, ticks=[-1, 0, 1], label="entry / largest magnitude")
        bar.outline.set_linewidth(STYLE["axes.linewidth"])
        if correlation is not None:
            figure.suptitle(f"correlation {correlation:.3f}", fontsize=STYLE["axes.titlesize"])
    return figure


def note(text: str) -> Figure:
    """Draw a text in the place of what there is nothing of."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=PANEL)
        figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def patches(vectors: Mapping[str, np.ndarray], shares: Mapping[str, np.ndarray] | None = None) -> Figure:
    """Draw patches, such as eigenvectors: a row a key; zero is mid-grey, and each patch fills the scale.

    Parameters
    ----------
    vectors : mapping of str to ndarray
        Label -> (k, channels, rows, columns), channels 1 (grey) or 3 (red, green, blue).
    shares : mapping of str to ndarray, optional
        Label -> (k,), in 0..1: written below each patch.
    """
    count = max(map(len, vectors.values()))
    with mpl.rc_context(FRAMED):
        beside, side = 0.3 + 0.07 * max(map(len, vectors)), PATCH + (0.12 if shares else 0)
        figure = Figure(figsize=(side * count + beside, side * len(vectors) + 0.3), layout="constrained")
        panels = figure.subplots(len(vectors), count, squeeze=False)
        for row, (label, some) in zip(panels, vectors.items(), strict=True):
            row[0].set_ylabel(label, rotation=0, ha="right", va="center")
            for axes, patch in zip(row, some, strict=False):
                pixels = 0.5 + 0.5 * patch / _largest(patch)  # (channels, rows, columns), from 0 to 1
                axes.imshow(np.moveaxis(pixels, 0, -1), cmap="gray", vmin=0, vmax=1)
            for axes, share in zip(row, shares[label] if shares else [], strict=False):
                axes.set_xlabel(f"{share:.1%}", fontsize=TINY, labelpad=1)
            for axes in row[len(some) :]:
                axes.set_visible(False)
        for number, axes in enumerate(panels[0], start=1):
            axes.set_title(str(number))
    return figure


def looks_at(image: np.ndarray, rows: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw what layers look at: an image, and beside it a column a layer and a row a feature matrix.

    Parameters
    ----------
    image : ndarray
        uint8 (height, width, channels), channels 1 (grey) or 3.
    rows : mapping of str to mapping of str to ndarray
        Label -> layer -> (height, width), the same layers in each row; where there are more than `LAYERS`, as many of
        them are drawn, at even distances from the first to the last. Each is scaled from its own 1st to its own 99th
        percentile.
    """
    layers = list(next(iter(rows.values())))
    shown = [layers[i] for i in even(len(layers), LAYERS)]
    # all in inches: squares that fill a page's width are exact that way, where a layout engine would leave gaps
    step = min(0.9, (TEXT_WIDTH - MARGIN) / (len(rows) + len(shown)))  # from one panel to the next
    side = step - GAP
    longest = 0.58 * TINY / 72 * max(map(len, shown))
    upright = longest > side  # names that would run into each other
    above = 0.1 + (longest if upright else TINY / 72)
    width, height = MARGIN + step * (len(rows) + len(shown)), step * len(rows) + above
    with mpl.rc_context(PICTURES | {"axes.titlesize": TINY, "axes.labelsize": TINY, "axes.titlepad": 3}):
        figure = Figure(figsize=(width, height))

        def square(left: float, bottom: float, side: float) -> Axes:
            return figure.add_axes((left / width, (bottom + GAP) / height, side / width, side / height))

        original = square(GAP, 0, step * len(rows) - GAP)
        original.imshow(image, cmap="gray", vmin=0, vmax=255)
        if len(shown) < len(layers):
            original.set_title(f"{len(shown)} of {len(layers)} layers")
        for i, (label, maps) in enumerate(rows.items()):
            for j, layer in enumerate(shown):
                axes = square(MARGIN + step * (len(rows) + j), step * (len(rows) - 1 - i), side)
                low, high = np.percentile(maps[layer], [1, 99])
                axes.imshow(maps[layer], cmap="magma", vmin=low, vmax=high)
                if j == 0:
                    axes.set_ylabel(label)
                if i == 0:
                    axes.set_title(layer, rotation=90 if upright else 0)
    return figure


def even(count: int, most: int) -> np.ndarray:
    """Return `most` numbers at even distances from the first to the last of `count`, or all."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(int)


def _largest(values: np.ndarray) -> float:
    """Return the largest magnitude, to divide by."""
    return np.abs(values).max() or 1.0


def save(figure: Figure, *paths: str | os.PathLike[str]) -> None:
    """Write a figure to each path, in the format of its ending; without a date, so that it repeats byte by byte."""
    with mpl.rc_context(STYLE):
        for path in paths:
            form = Path(path).suffix[1:]
            with atomic(path) as temporary:
                figure.savefig(temporary, format=form, metadata={"Date": None} if form == "svg" else None)


CURVES = {"accuracy": accuracy, "gap": gap}
