"""Images that machines learn in milliseconds, and machines that do."""

import numpy as np

from ansatz.machines.convrfm import ConvRFM


def stripes(n=60, seed=0, classes=3, side=6):
    """Return noisy images with a row, a column, or a square of a sign of its own, and which it is."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, 1, side, side)) / 2, rng.integers(0, classes, n)
    at, sign = rng.integers(0, side - 1, n), rng.choice([-1, 1], n)
    for image, label, row, by in zip(x[:, 0], y, at, sign, strict=True):
        where = [slice(row, row + 1), slice(None)], [slice(None), slice(row, row + 1)], [slice(row, row + 2)] * 2
        image[tuple(where[label])] += 2 * by
    return x, y


def small(**changes):
    """Return a machine that takes milliseconds."""
    options = {"depth": 2, "iterations": 2, "dtype": "float64", "ridges": (1e-3, 1e-1), "random_state": 0}
    return ConvRFM(**options | changes)


def bars(n, seed):
    """Return images of noise with a row that is bright or dark, and which (as of Beaglehole et al.'s proof)."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((n, 1, 12, 16)) / 4).astype("float32")
    y, row = rng.integers(0, 2, n), rng.integers(0, 12, n)
    x[np.arange(n), 0, row] = ((2 * y - 1) / 4)[:, None]
    return x, y
