"""Pictures as parts of the page."""

import base64
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.image import imsave

from ansatz.reporting.page.blocks import Picture

LARGEST = 160  # pixels, the side of a matrix; larger ones are averaged over blocks


def picture(path: str) -> Picture:
    """Return a picture from a file of a figure, called by its place."""
    place = Path(path).with_suffix("")
    name = " ".join(place.parts[-4:]).replace("_", " ")
    return Picture(uri_of(Path(path).read_bytes()), name, name)


def map_of(values: np.ndarray, largest: float, description: str) -> Picture:
    """Return a matrix or an output as a picture, blue below zero and red above.

    Parameters
    ----------
    values : ndarray
        (rows, columns)
    largest : float
        The magnitude at which the colours end.
    description : str
    """
    buffer = io.BytesIO()
    imsave(buffer, mpl.colormaps["RdBu_r"](0.5 + 0.5 * _smaller(values) / (largest or 1.0)), format="png")
    return Picture(uri_of(buffer.getvalue()), description)


def tiled(maps: np.ndarray, columns: int = 4) -> np.ndarray:
    """Put maps (count, rows, columns) beside each other, a pixel apart, as one matrix; NaN between them."""
    count, height, width = maps.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + 1) - 1, min(count, columns) * (width + 1) - 1), np.nan)
    for number, each in enumerate(maps):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        sheet[top : top + height, left : left + width] = each
    return sheet


def uri_of(png: bytes) -> str:
    """Return a PNG file as a URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _smaller(values: np.ndarray) -> np.ndarray:
    """Average a large matrix over square blocks."""
    factor = -(-max(values.shape) // LARGEST)
    if factor == 1:
        return values
    height, width = (size // factor * factor for size in values.shape)
    return values[:height, :width].reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))
