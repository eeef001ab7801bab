"""Photographs of varying size, resized when they are read."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ansatz.data.archives import unpack
from ansatz.data.folders import read_folder
from ansatz.data.raw import RawDataset
from ansatz.files.dataset import Part
from ansatz.files.pools import OnDisk
from ansatz.registry import dataset


def _square(size: int, banner: int = 0) -> Callable[[Any], np.ndarray]:
    """Return a transform of pictures, without `banner` rows at the bottom, into arrays (3, `size`, `size`)."""

    def transform(picture: Any) -> np.ndarray:
        cropped = picture.crop((0, 0, picture.width, picture.height - banner))
        return np.asarray(cropped.resize((size, size))).transpose(2, 0, 1)

    return transform


def _collected(split: Any) -> Part:
    """Return all images of a torchvision dataset."""
    labels = []

    def images() -> Iterator[np.ndarray]:
        for image, label in split:
            labels.append(label)
            yield image[None]

    return Part(OnDisk(images()), np.array(labels))


@dataset(
    "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370",
    {
        "GTSRB-Training_fixed.zip": "513f3c79a4c5141765e10e952eaa2478",
        "GTSRB_Final_Test_Images.zip": "c7e4e6327067d32654124b0fe9e82185",
        "GTSRB_Final_Test_GT.zip": "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
    },
    size=32,
    images="26,640 + – + 12,630",
    classes=43,
    pixels="`size`, 32",
)
def gtsrb(folder: Path, size: int) -> RawDataset:
    """GTSRB: German traffic signs.

    The training images come in tracks of a single sign each. The split into training and validation divides tracks, so
    that validation accuracies are higher than test accuracies.
    """
    from torchvision.datasets import GTSRB

    for archive in folder.glob("*.zip"):
        unpack(archive, folder / "gtsrb")  # where torchvision looks
    halves = (GTSRB(folder, split=split, transform=_square(size)) for split in ("train", "test"))
    train, test = map(_collected, halves)
    return RawDataset([str(sign) for sign in range(43)], train, test=test)


@dataset(
    "https://www.robots.ox.ac.uk/~vgg/data/dtd/download",
    {"dtd-r1.0.1.tar.gz": "fff73e5086ae6bdbea199a49dfb8a4c1"},
    size=64,
    images="1,880 + 1,880 + 1,880",
    classes=47,
    pixels="`size`, 64",
)
def dtd(folder: Path, size: int) -> RawDataset:
    """DTD: textures, in the first partition."""
    from torchvision.datasets import DTD

    unpack(folder / "dtd-r1.0.1.tar.gz", folder / "dtd")  # where torchvision looks
    splits = [DTD(folder, split=split, transform=_square(size)) for split in ("train", "val", "test")]
    return RawDataset(splits[0].classes, *map(_collected, splits))


@dataset(
    "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives",
    {"fgvc-aircraft-2013b.tar.gz": "d4acdd33327262359767eeaa97a4f732"},  # as in torchvision for R; Python's has none
    size=64,
    images="3,334 + 3,333 + 3,333",
    classes=100,
    pixels="`size`, 64",
)
def fgvc_aircraft(folder: Path, size: int) -> RawDataset:
    """FGVC-Aircraft: aircraft by variant; the 20 rows of text at the bottom are cut off."""
    from torchvision.datasets import FGVCAircraft

    unpack(folder / "fgvc-aircraft-2013b.tar.gz", folder)
    transform = _square(size, banner=20)
    splits = [FGVCAircraft(folder, split=split, transform=transform) for split in ("train", "val", "test")]
    return RawDataset(splits[0].classes, *map(_collected, splits))


@dataset(
    "https://data.caltech.edu/records/mzrjq-6wc02/files",
    {"caltech-101.zip": "3138e1922a9193bfa496528edbbc45d0"},
    size=64,
    images="8,677 + – + –",
    classes=101,
    pixels="`size`, 64",
)
def caltech101(folder: Path, size: int) -> RawDataset:
    """Caltech-101: things and animals, without the background class."""
    unpack(folder / "caltech-101.zip", folder)
    unpack(folder / "caltech-101" / "101_ObjectCategories.tar.gz", folder)
    root = folder / "101_ObjectCategories"
    shutil.rmtree(root / "BACKGROUND_Google")  # whatever a search returned, and no class of things
    return read_folder(root, size)
