"""What initializers gain that draw from several sources: heat maps of sources x datasets."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from ansatz.reporting.figures.catalogue import figure
from ansatz.reporting.figures.style import PAGE, PICTURES, STYLE, TINY
from ansatz.reporting.initialization import ALPHA
from ansatz.reporting.transfer import MEASURES, TESTED, grid, text

CELL = (0.84, 0.3)  # inches
NARROWEST = 2.3  # inches, of a heat map, so that there is room for the label of its scale
LETTER = 0.065  # inches, of a name
COLOURS = "RdBu"  # blue is better than the baseline
DARK = 0.6  # of the scale, from where on text is white
POINTS = FuncFormatter(lambda share, _: f"{100 * share:z.4g}".replace("-", "−"))
MOST = 5  # of the median size of differences, at which the scale ends
LABELLED = PICTURES | {
    "xtick.labelbottom": True,
    "ytick.labelleft": True,
    "figure.constrained_layout.w_pad": 0.04,  # inches
    "figure.constrained_layout.h_pad": 0.04,
}


@figure
def transfer(transfer: pd.DataFrame) -> Figure:
    """Draw what each initializer gains from each source on each dataset.

    Parameters
    ----------
    transfer : DataFrame
        As ``transfer.csv``.

    Returns
    -------
    Figure
        For each kind of initializer and each of `MEASURES`, a heat map of sources x datasets: the mean
        paired difference to the baseline in percentage points, and below it its 95 % interval; bold where the corrected
        p-value is below 0.05. Frames are around the datasets that a source has seen. The maps of a measure share a
        scale of colours about zero; differences far beyond most others have the colour of its end.
    """
    sources = transfer.groupby("kind", sort=False).source.nunique()
    names = LETTER * transfer[["source", "dataset"]].map(len).max()  # of the longest
    width = max(NARROWEST, transfer.dataset.nunique() * max(CELL[0], names.dataset))
    height = CELL[1] * sources.sum() + 0.25 * len(sources) + 1.4
    beside = names.source + 0.4 + len(MEASURES) * (width + 0.1) <= PAGE  # or below each other
    across, down = (len(MEASURES), 1) if beside else (1, len(MEASURES))
    with mpl.rc_context(LABELLED):
        figure = Figure(figsize=(across * (width + 0.1) + names.source + 0.4, down * height), layout="constrained")
        heights = list(sources) * down
        panels = figure.subplots(len(heights), across, sharex="col", sharey="row", squeeze=False, height_ratios=heights)
        panels = panels if beside else panels.reshape(len(MEASURES), len(sources)).T  # (kinds, measures)
        for column, (measure, title) in zip(panels.T, MEASURES.items(), strict=True):
            limit = _limit(transfer[measure])
            for axes, kind in zip(column, sources.index, strict=True):
                drawn = _draw(axes, transfer[transfer.kind == kind], measure, limit)
            ends = "both" if transfer[measure].abs().max() > limit else "neither"
            bar = figure.colorbar(drawn, ax=list(column), location="top", aspect=30, extend=ends, format=POINTS)
            bar.outline.set_visible(False)
            bar.set_label(f"{title},\ndifference to {transfer.baseline.iloc[0]},\nin percentage points")
            column[-1].set_xlabel("trained on")
            column[-1].tick_params(labelbottom=True)
        for column in panels.T[:1] if beside else panels.T:
            for axes, kind in zip(column, sources.index, strict=True):
                axes.set_title(kind, loc="left")
                axes.set_ylabel("source")
    return figure


def _limit(differences: pd.Series) -> float:
    """Return where the scale of colours ends, so that a few differences far beyond the others do not stretch it."""
    sizes = differences.abs()
    return min(sizes.max(), MOST * sizes.median()) if sizes.median() > 0 else 0.01


def _draw(axes: Axes, own: pd.DataFrame, measure: str, limit: float) -> QuadMesh:
    """Draw the heat map of a kind of initializer, with its numbers and frames."""
    means = grid(own, measure)  # (sources, datasets)
    drawn = axes.pcolormesh(means, cmap=COLOURS, vmin=-limit, vmax=limit, edgecolor="white", linewidth=1)
    axes.set_xticks(np.arange(means.shape[1]) + 0.5, means.columns)
    axes.set_yticks(np.arange(means.shape[0]) + 0.5, means.index)
    axes.set_ylim(len(means), 0)
    for row in own.to_dict("records"):
        x, y = means.columns.get_loc(row["dataset"]), means.index.get_loc(row["source"])
        if row["same"]:
            axes.add_patch(Rectangle((x, y), 1, 1, fill=False, linewidth=1.5, zorder=3, clip_on=False))
        number, _, interval = text(row, measure, "+z.1f").partition(" ")
        style: dict[str, Any] = {"ha": "center", "color": "white" if abs(row[measure]) > DARK * limit else "black"}
        weight = "bold" if measure == TESTED and row["p"] < ALPHA else "normal"
        axes.text(x + 0.5, y + 0.54, number, va="bottom", size=STYLE["font.size"], weight=weight, **style)
        axes.text(x + 0.5, y + 0.57, interval, va="top", size=TINY, **style)
    return drawn
