"""Pictures as parts of the page."""

import base64
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.image import imsave

from ansatz.reporting.page.blocks import Picture

WIDE = 1200  # pixels, beyond which a picture is not read in half the width of the page
LARGEST = 160  # pixels, at most, of the side of a map; larger ones are averaged over blocks


def picture(path: str, folder: str) -> Picture:
    """Return a picture from a file of a figure, called by its place in the folder of the section."""
    place = Path(path.rpartition(f"/{folder}/")[2]).with_suffix("")
    name = ", ".join(dict.fromkeys(place.parts)).replace("_", " ")
    png = Path(path).read_bytes()
    width = int.from_bytes(png[16:20], "big")  # as the header says
    return Picture(uri_of(png), name, name, wide=width > WIDE)


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
    imsave(buffer, mpl.colormaps["RdBu_r"](0.5 + 0.5 * values / (largest or 1.0)), format="png")
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


def smaller(values: np.ndarray) -> np.ndarray:
    """Average a large map over blocks."""
    (height, tall), (width, wide) = map(_blocks, values.shape)
    return values[: height * tall, : width * wide].reshape(height, tall, width, wide).mean(axis=(1, 3))


def nfm_of(weights: np.ndarray) -> np.ndarray:
    """Return the NFM of weights (out, patch), averaged as `smaller` does, but without the whole matrix."""
    count, wide = _blocks(weights.shape[1])
    factor = weights[:, : count * wide].reshape(len(weights), count, wide).mean(axis=2)
    return factor.T @ factor


def _blocks(size: int) -> tuple[int, int]:
    """Return how many blocks a side is cut into, and how long they are."""
    length = -(-size // LARGEST)
    return size // length, length
