"""CIFAR, whose images and labels are pickles."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ansatz.data.archives import reading, unpack
from ansatz.data.raw import RawDataset
from ansatz.errors import UserError
from ansatz.files.dataset import Part
from ansatz.registry import dataset

ARRAYS = {  # what pickles of arrays call, under the names of NumPy 1, which wrote the published ones, and of NumPy 2
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    ("numpy._core.numeric", "_frombuffer"): np.zeros(1).__reduce_ex__(5)[0],
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of arrays, lists, dictionaries, text, bytes and numbers; others could run any code."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names, if arrays consist of it."""
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, not only arrays, lists, dictionaries and text")
        return ARRAYS[module, name]


def read_pickle(path: Path) -> dict[str, Any]:
    """Return the dictionary in a pickle, which Python 2 may have written.

    Raises
    ------
    UserError
        If it holds anything besides arrays and plain types, or is torn.
    """
    with reading(path), open(path, "rb") as file:
        content = ArrayUnpickler(file, encoding="latin1").load()
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__} instead of a dictionary")
    return content


def _read(folder: Path, archive: str, batches: dict[str, list[str]], meta: str, kind: str = "") -> RawDataset:
    """Read the batches of either part; labels and names of classes are called ``<kind>labels`` and so on."""
    unpack(folder / archive, folder)
    parts = {}
    for part, files in batches.items():
        read = [read_pickle(folder / file) for file in files]
        images = np.concatenate([batch["data"] for batch in read]).reshape(-1, 3, 32, 32)
        parts[part] = Part(images, np.concatenate([batch[f"{kind}labels"] for batch in read]))
    return RawDataset(read_pickle(folder / meta)[f"{kind}label_names"], **parts)


@dataset(
    "https://www.cs.toronto.edu/~kriz",
    {"cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"},
    images="50,000 + – + 10,000",
    classes=10,
    pixels="32",
)
def cifar10(folder: Path) -> RawDataset:
    """CIFAR-10: things and animals."""
    root = "cifar-10-batches-py"
    batches = {"train": [f"{root}/data_batch_{i}" for i in range(1, 6)], "test": [f"{root}/test_batch"]}
    return _read(folder, "cifar-10-python.tar.gz", batches, f"{root}/batches.meta")


@dataset(
    "https://www.cs.toronto.edu/~kriz",
    {"cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"},
    images="50,000 + – + 10,000",
    classes=100,
    pixels="32",
)
def cifar100(folder: Path) -> RawDataset:
    """CIFAR-100: things and animals, with the fine labels."""
    batches = {part: [f"cifar-100-python/{part}"] for part in ("train", "test")}
    return _read(folder, "cifar-100-python.tar.gz", batches, "cifar-100-python/meta", kind="fine_")
