"""Datasets that come with a dependency."""

from pathlib import Path

import numpy as np

from ansatz.data.raw import RawDataset
from ansatz.files.dataset import Part
from ansatz.registry import dataset

DIGITS = [str(digit) for digit in range(10)]


@dataset(images="1,797 + – + –", classes=10, pixels="8, grey")
def digits(folder: Path) -> RawDataset:
    """Digits: handwritten digits that come with scikit-learn; nothing is downloaded."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]  # (1797, 1, 8, 8)
    return RawDataset(DIGITS, Part(images, bunch.target))
