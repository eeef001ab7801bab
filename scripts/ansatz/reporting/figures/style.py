"""What all figures share: Matplotlib's parameters, sizes, and how they are saved."""

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox

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
    "pdf.fonttype": 42,  # also in PDF, with its font
    "svg.hashsalt": "ansatz",  # the same figure is the same file
    "savefig.dpi": 200,
}
UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
COLUMN, PAGE = 85 / 25.4, 174 / 25.4  # inches, in most journals
WIDER = 1.4  # columns, from where on a figure is given the page
MARGIN = 0.03  # inches
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
TINY = 7  # points, the font beside small panels; journals print no smaller one
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.3g}%")


def placeholder(message: str) -> Figure:
    """Return a placeholder figure showing a message."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=PANEL)
        figure.text(0.5, 0.5, message, ha="center", va="center", wrap=True)
    return figure


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Return at most `most` of the indices 0..count - 1: evenly spaced, with the first and the last."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(int)


def save(figure: Figure, *paths: str | os.PathLike[str], style: str = "screen") -> None:
    """Write a figure to each path, in the format of its suffix; without a date, so that files repeat byte for byte.

    Parameters
    ----------
    figure : Figure
    *paths : path
    style : {"screen", "paper"}
        On a screen, a figure has the width that its panels need; in a paper, that of a column or of a page.
    """
    with mpl.rc_context(STYLE):
        page = _page_of(figure, in_paper=style == "paper")
        for path in paths:
            form = Path(path).suffix[1:]
            with atomic(path) as temporary:
                figure.savefig(temporary, format=form, bbox_inches=page, metadata=UNDATED.get(form))


def _page_of(figure: Figure, *, in_paper: bool) -> Bbox:
    """Lay a figure out and return what it fills, in inches; in a paper, the whole width of a column or of the page."""
    width, height = figure.get_size_inches()
    if in_paper:
        column = COLUMN if width < WIDER * COLUMN else PAGE
        is_picture = any(axes.images and axes.get_aspect() != "auto" for axes in figure.axes)
        figure.set_size_inches(column, height * column / width if is_picture else height)
        width = column
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it is laid out
    filled = figure.get_tightbbox().padded(MARGIN)
    return Bbox.from_extents(0, filled.y0, width, filled.y1) if in_paper else filled
