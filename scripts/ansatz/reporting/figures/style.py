"""What all figures share: Matplotlib's parameters, sizes, and how they are saved."""

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ansatz.files.atomic import atomic

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
TINY = 6  # points, the font beside small panels


def placeholder(message: str) -> Figure:
    """Return a placeholder figure showing a message."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=PANEL)
        figure.text(0.5, 0.5, message, ha="center", va="center", wrap=True)
    return figure


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Return at most `most` of the indices 0..count - 1: evenly spaced, with the first and the last."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(int)


def save(figure: Figure, *paths: str | os.PathLike[str]) -> None:
    """Write a figure to each path, in the format of its suffix; without a date, so that files repeat byte for byte."""
    with mpl.rc_context(STYLE):
        if layout := figure.get_layout_engine():
            layout.execute(figure)  # once for all formats, as it takes longer than drawing
            figure.set_layout_engine("none")
        for path in paths:
            form = Path(path).suffix[1:]
            with atomic(path) as temporary:
                figure.savefig(temporary, format=form, metadata={"Date": None} if form == "svg" else None)
