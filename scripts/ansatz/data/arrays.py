"""Small photographs, published as arrays: SVHN, STL-10."""

from pathlib import Path

import numpy as np

from ansatz.data.archives import reading, unpack
from ansatz.data.bundled import DIGITS
from ansatz.data.raw import RawDataset, whole
from ansatz.files.dataset import Part
from ansatz.registry import dataset


@dataset(
    "http://ufldl.stanford.edu/housenumbers",
    {
        "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    },
    images="73,257 + – + 26,032",
    classes=10,
    pixels="32",
)
def svhn(folder: Path) -> RawDataset:
    """SVHN: digits of house numbers."""
    from scipy.io import loadmat

    parts = {}
    for part in ("train", "test"):
        with reading(archive := folder / f"{part}_32x32.mat"):
            stored = loadmat(archive)
            images, labels = stored["X"].transpose(3, 2, 0, 1), stored["y"].ravel()
        parts[part] = Part(images, np.where(labels == 10, 0, labels))  # 10 is the digit 0
    return RawDataset(DIGITS, **parts)


@dataset(
    "http://ai.stanford.edu/~acoates/stl10",
    {"stl10_binary.tar.gz": "91f7769df0f17e558f3565bffb0c7dfb"},
    images="5,000 + – + 8,000",
    classes=10,
    pixels="96",
)
def stl10(folder: Path) -> RawDataset:
    """STL-10: things and animals; the labelled images."""
    unpack(folder / "stl10_binary.tar.gz", folder)
    root, parts = folder / "stl10_binary", {}
    for part in ("train", "test"):
        images = np.fromfile(root / f"{part}_X.bin", np.uint8).reshape(-1, 3, 96, 96).swapaxes(2, 3)  # by columns
        parts[part] = Part(images, whole(np.fromfile(root / f"{part}_y.bin", np.uint8)) - 1)
    return RawDataset((root / "class_names.txt").read_text(encoding="utf-8").splitlines(), **parts)
