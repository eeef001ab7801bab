"""MNIST, and datasets in its format, IDX."""

import gzip
import struct
from pathlib import Path

import numpy as np

from ansatz.data.archives import reading, unpack
from ansatz.data.bundled import DIGITS
from ansatz.data.raw import RawDataset
from ansatz.files.dataset import Part
from ansatz.registry import dataset

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}  # by their number in a file


def read_idx(archive: Path) -> np.ndarray:
    """Return the array in a gzipped IDX file.

    Raises
    ------
    UserError
        If it is truncated, or no such file.
    """
    with reading(archive), gzip.open(archive) as file:
        _, number, axes = struct.unpack(">HBB", file.read(4))
        shape = struct.unpack(f">{axes}I", file.read(4 * axes))
        return np.frombuffer(file.read(), TYPES[number]).reshape(shape)


def _part(folder: Path, half: str, labels: str = "labels-idx1-ubyte") -> Part:
    """Return the images, (N, 1, 28, 28), and labels of a half of MNIST or of a dataset in its format."""
    images = read_idx(folder / f"{half}-images-idx3-ubyte.gz")
    return Part(images[:, None], read_idx(folder / f"{half}-{labels}.gz"))


@dataset(
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    images="60,000 + – + 10,000",
    classes=10,
    pixels="28, grey",
)
def mnist(folder: Path) -> RawDataset:
    """MNIST: handwritten digits."""
    return RawDataset(DIGITS, _part(folder, "train"), test=_part(folder, "t10k"))


@dataset(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    images="60,000 + – + 10,000",
    classes=10,
    pixels="28, grey",
)
def fashion_mnist(folder: Path) -> RawDataset:
    """Fashion-MNIST: clothing."""
    from torchvision.datasets import FashionMNIST

    return RawDataset(FashionMNIST.classes, _part(folder, "train"), test=_part(folder, "t10k"))


@dataset(
    "https://biometrics.nist.gov/cs_links/EMNIST",
    {"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"},
    images="112,800 + – + 18,800",
    classes=47,
    pixels="28, grey",
)
def emnist(folder: Path) -> RawDataset:
    """EMNIST: handwritten digits and letters, turned upright; the split ``balanced``.

    Letters whose capital and small forms look alike share a class.
    """
    from torchvision.datasets import EMNIST

    unpack(folder / "gzip.zip", folder)
    halves = (_part(folder / "gzip", f"emnist-balanced-{half}") for half in ("train", "test"))
    train, test = (Part(half.images.swapaxes(2, 3), half.labels) for half in halves)  # published transposed
    return RawDataset(EMNIST.classes_split_dict["balanced"], train, test=test)


@dataset(
    "https://raw.githubusercontent.com/facebookresearch/qmnist/master",
    {
        "qmnist-train-images-idx3-ubyte.gz": "ed72d4157d28c017586c42bc6afe6370",
        "qmnist-train-labels-idx2-int.gz": "0058f8dd561b90ffdd0f734c6a30e5e4",
        "qmnist-test-images-idx3-ubyte.gz": "1394631089c404de565df7b7aeaf9412",
        "qmnist-test-labels-idx2-int.gz": "5b5b05890a5e13444e108efe57b788aa",
    },
    images="60,000 + – + 60,000",
    classes=10,
    pixels="28, grey",
)
def qmnist(folder: Path) -> RawDataset:
    """QMNIST: handwritten digits; MNIST reconstructed, with a larger test part.

    The first 10,000 images of the test part are those of MNIST.
    """
    halves = (_part(folder, f"qmnist-{half}", "labels-idx2-int") for half in ("train", "test"))
    train, test = (Part(half.pool, half.labels[:, 0]) for half in halves)  # the other columns: writers and places
    return RawDataset(DIGITS, train, test=test)
