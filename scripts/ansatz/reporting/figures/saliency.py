"""What layers look at in images: those of a network, and those of machines."""

from collections.abc import Mapping
from itertools import zip_longest

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ansatz.files.learned import LearnedFeatures
from ansatz.reporting.figures.style import FRAMED, PICTURES, TINY, evenly_spaced, placeholder
from ansatz.reporting.formatting import short

LAYERS = 16  # at most, of a network
TEXT_WIDTH = 6.9  # inches, both columns of a page
GAP, MARGIN = 0.05, 0.22  # inches, between panels, and for the labels of rows
SIDE = 0.85  # inches, of a machine's map


def saliency_maps(image: np.ndarray, rows: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw what the layers of a network look at: an image, and beside it a map for each feature matrix and layer.

    Parameters
    ----------
    image : ndarray
        uint8 (height, width, channels), with 1 (grey) or 3 channels.
    rows : mapping of str to mapping of str to ndarray
        Label of a row, such as ``"NFM"`` -> layer -> map, (height, width); the same layers in each row. Of more than
        `LAYERS` layers, evenly spaced ones are drawn. The colours of a map range from its 1st to its 99th percentile.
    """
    layers = list(next(iter(rows.values())))
    if not layers:
        return placeholder("the layers of this network see the image as a whole")
    shown = [layers[i] for i in evenly_spaced(len(layers), LAYERS)]
    # All lengths are in inches, so that squares fill the width of a page; a layout engine would leave gaps.
    step = min(0.9, (TEXT_WIDTH - MARGIN) / (len(rows) + len(shown)))  # from one panel to the next
    side = step - GAP
    longest = 0.58 * TINY / 72 * max(map(len, map(short, shown)))
    upright = longest > side  # horizontal names would overlap
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
                    axes.set_title(short(layer), rotation=90 if upright else 0)
    return figure


def machine_saliency(learned: Mapping[str, LearnedFeatures]) -> Figure:
    """Draw images and, below each, how much of it the layers of machines let through; each map in its own scale.

    First come the first layers of all machines, then the second ones. Maps of patches, of which there are fewer than
    pixels, lie where the centres of the patches are.

    Parameters
    ----------
    learned : mapping of str to LearnedFeatures
        Title of a machine -> what it learned, of the same images.
    """
    images = next(iter(learned.values())).images
    rows = [("image", "gray", np.moveaxis(images, 1, -1))]
    for number, maps_of_layer in enumerate(zip_longest(*(features.saliency.values() for features in learned.values()))):
        for (title, features), maps in zip(learned.items(), maps_of_layer, strict=True):
            if maps is not None:
                layer = f"\nlayer {number + 1}" if len(features.saliency) > 1 else ""
                rows.append((title + layer, "magma", maps))
    height, width = images.shape[2:]
    size = (SIDE * len(images) + 0.9, SIDE * height / width * len(rows) + 0.1)
    with mpl.rc_context(FRAMED):
        figure = Figure(figsize=size, layout="compressed")
        grid = figure.subplots(len(rows), len(images), squeeze=False)
        for panels, (label, colours, maps) in zip(grid, rows, strict=True):
            panels[0].set_ylabel(label, fontsize=TINY, rotation=0, ha="right", va="center")
            for axes, drawn in zip(panels, maps, strict=True):
                down, right = ((whole - part) / 2 for whole, part in zip((height, width), drawn.shape, strict=False))
                extent = (right, width - right, height - down, down)
                axes.imshow(_scaled(drawn), cmap=colours, vmin=0, vmax=1, extent=extent)
                axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _scaled(values: np.ndarray) -> np.ndarray:
    spread = np.ptp(values)
    return (values - values.min()) / spread if spread else np.zeros_like(values)
