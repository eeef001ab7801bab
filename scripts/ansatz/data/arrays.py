"""Small photographs, published as arrays: CIFAR, SVHN, STL-10."""

from pathlib import Path
from typing import Any

import numpy as np

from ansatz.data.archives import unpack
from ansatz.data.bundled import DIGITS
from ansatz.data.raw import RawDataset
from ansatz.files.dataset import Part
from ansatz.registry import dataset


def _unchecked(name: str) -> Any:
    """Return a dataset of torchvision without its check of the unpacked files.

    It accepts only the full archives; the checksum of the configured archive has been checked already.
    """
    from torchvision import datasets

    return type(name, (getattr(datasets, name),), {"_check_integrity": lambda self: True})


def _cifar(name: str, folder: Path, archive: str) -> RawDataset:
    unpack(folder / archive, folder)
    train, test = (_unchecked(name)(folder, train=train) for train in (True, False))
    parts = [Part(half.data.transpose(0, 3, 1, 2), np.array(half.targets, np.int64)) for half in (train, test)]
    return RawDataset(train.classes, parts[0], test=parts[1])


@dataset(
    "https://www.cs.toronto.edu/~kriz",
    {"cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"},
    images="50,000 + – + 10,000",
    classes=10,
    pixels="32",
)
def cifar10(folder: Path) -> RawDataset:
    """CIFAR-10: things and animals."""
    return _cifar("CIFAR10", folder, "cifar-10-python.tar.gz")


@dataset(
    "https://www.cs.toronto.edu/~kriz",
    {"cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"},
    images="50,000 + – + 10,000",
    classes=100,
    pixels="32",
)
def cifar100(folder: Path) -> RawDataset:
    """CIFAR-100: things and animals, with the fine labels."""
    return _cifar("CIFAR100", folder, "cifar-100-python.tar.gz")


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
    halves = (_unchecked("SVHN")(folder, split=split) for split in ("train", "test"))
    train, test = (Part(half.data, np.asarray(half.labels, np.int64)) for half in halves)
    return RawDataset(DIGITS, train, test=test)


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
    train, test = (_unchecked("STL10")(folder, split=split) for split in ("train", "test"))
    parts = [Part(half.data, half.labels.astype(np.int64)) for half in (train, test)]
    return RawDataset(train.classes, parts[0], test=parts[1])
