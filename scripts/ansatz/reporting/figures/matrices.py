"""Pictures of feature matrices and of their eigenvectors."""

from collections.abc import Mapping
from itertools import repeat

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ansatz.reporting.figures.style import FRAMED, PICTURES, STYLE, TINY

SQUARE = 1.9  # inches, the side of a heat map
PATCH = 0.5  # inches, the side of a patch
FLAT, ROUNDING = 0.5, 1e-6  # of the largest magnitude: entries that differ by less are hard to tell apart, and equal
SMALLEST = 0.001  # share of an eigenvalue that is written
STAR = "*"  # of a patch with a scale of its own


def heat_maps(matrices: Mapping[str, np.ndarray], correlation: float | None = None) -> Figure:
    """Draw feature matrices side by side, each divided by its largest magnitude, in one scale of colours about zero.

    Parameters
    ----------
    matrices : mapping of str to ndarray
        Title -> (patch, patch).
    correlation : float, optional
        Their correlation, which the title of the figure then says.
    """
    with mpl.rc_context(PICTURES):
        figure = Figure(figsize=((SQUARE + 0.1) * len(matrices) + 0.6, SQUARE + 0.4), layout="compressed")
        panels = figure.subplots(1, len(matrices), squeeze=False)[0]
        for axes, (title, matrix) in zip(panels, matrices.items(), strict=True):
            drawn = axes.imshow(matrix / _largest(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
            axes.spines[:].set_visible(True)  # the map itself may be white at its border
            axes.set_title(title)
        with mpl.rc_context({"ytick.right": True}):
            bar = figure.colorbar(drawn, ax=panels, ticks=[-1, 0, 1], label="entry / largest magnitude")
        bar.outline.set_linewidth(STYLE["axes.linewidth"])
        if correlation is not None:
            figure.suptitle(f"correlation {correlation:.3f}", fontsize=STYLE["axes.titlesize"])
    return figure


def patches(vectors: Mapping[str, np.ndarray], shares: Mapping[str, np.ndarray] | None = None) -> Figure:
    """Draw patches, such as eigenvectors, in rows; zero is mid-grey, and each patch fills the scale.

    A nearly constant patch, which would be all white, is drawn from its lowest to its highest entry, and has a star.

    Parameters
    ----------
    vectors : mapping of str to ndarray
        Label of a row -> (k, channels, rows, columns), with 1 (grey) or 3 channels (red, green, blue).
    shares : mapping of str to ndarray, optional
        Label of a row -> (k,) in 0..1, written below each patch.
    """
    count = max(map(len, vectors.values()))
    with mpl.rc_context(FRAMED | {"figure.constrained_layout.w_pad": 0.05}):
        labels, side = 0.3 + 0.07 * max(map(len, vectors)), PATCH + (0.12 if shares else 0)  # inches
        figure = Figure(figsize=(side * count + labels, side * len(vectors) + 0.45), layout="compressed")
        panels = figure.subplots(len(vectors), count, squeeze=False)
        for row, (label, patches) in zip(panels, vectors.items(), strict=True):
            row[0].set_ylabel(label, rotation=0, ha="right", va="center")
            below = map(_percent, shares[label]) if shares else repeat("")
            for axes, patch, text in zip(row, patches, below, strict=False):
                axes.imshow(np.moveaxis(_pixels(patch), 0, -1), cmap="gray", vmin=0, vmax=1)
                axes.set_xlabel(text + STAR * _is_flat(patch), fontsize=TINY, labelpad=1)
            for axes in row[len(patches) :]:
                axes.set_visible(False)
        for number, axes in enumerate(panels[0], start=1):
            axes.set_title(str(number))
        title = "eigenvector" + (" and the share of its eigenvalue" if shares else "")
        if any(_is_flat(patch) for patches in vectors.values() for patch in patches):
            title += f" ({STAR} from its lowest to its highest entry)"
        figure.suptitle(title, fontsize=TINY)
    return figure


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= SMALLEST else f"< {SMALLEST:.1%}"


def _pixels(patch: np.ndarray) -> np.ndarray:
    """Return the entries of a patch, from 0 to 1."""
    if _is_flat(patch):
        return (patch - patch.min()) / np.ptp(patch)
    return 0.5 + 0.5 * patch / _largest(patch)


def _is_flat(patch: np.ndarray) -> bool:
    """Return whether the entries of a patch differ little, but by more than rounding."""
    return bool(ROUNDING < np.ptp(patch) / _largest(patch) < FLAT)


def _largest(values: np.ndarray) -> float:
    """Return the largest magnitude, to divide by."""
    return np.abs(values).max() or 1.0
