"""``dataset.h5``: images, labels, the split, and statistics of the channels."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ansatz.files.hdf5 import Group, Pieces, read_tree, write_tree
from ansatz.files.pools import Joined, OnDisk

MAPPED = ("images", "test/images")
PIECE = 2**24  # bytes of images that are read at once


@dataclass(frozen=True)
class Part:
    """One part of a dataset: rows of a pool of images, which several parts may share.

    Attributes
    ----------
    pool : ndarray, OnDisk or Joined
        uint8 (M, C, H, W); mapped from the file it was read from, so that only the images in use take memory.
    labels : ndarray
        int64 (N,), one for each row.
    rows : ndarray or slice
        int64 (N,); by default all rows of the pool.
    """

    pool: np.ndarray | OnDisk | Joined
    labels: np.ndarray
    rows: np.ndarray | slice = field(default_factory=lambda: slice(None))

    @property
    def images(self) -> np.ndarray:
        """The part's images in memory, uint8 (N, C, H, W)."""
        return self.pool[self.rows]

    @property
    def indices(self) -> np.ndarray:
        """The numbers of the part's images in the pool, int64 (N,)."""
        return np.arange(len(self.pool))[self.rows]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> "Part":
        """Return the part's images and labels at `indices`."""
        return Part(self.pool, self.labels[indices], self.indices[indices])

    def in_pieces(self) -> Pieces:
        """Return the part's images as an array that is read in pieces."""
        shape = (len(self), *self.pool.shape[1:])
        rows = np.array_split(self.indices, math.prod(shape) // PIECE + 1)
        return Pieces(shape, self.pool.dtype, lambda: (self.pool[piece] for piece in rows))


@dataclass(frozen=True)
class Dataset:
    """A dataset as networks are trained on it.

    Attributes
    ----------
    name : str
    classes : tuple of str
    mean, std : ndarray
        Of each channel over the training part, on the scale 0..1; float64 (C,).
    parts : mapping of str to Part
        ``train``, ``validation`` and ``test``: those that were asked for and exist.
    fingerprint : str
        SHA-256 of the arrays in the file.
    official_split : bool
        Whether the dataset itself says which images are for validation.
    """

    name: str
    classes: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    parts: Mapping[str, Part]
    fingerprint: str
    official_split: bool = False


def write_dataset(
    path: str | os.PathLike[str],
    *,
    name: str,
    classes: Sequence[str],
    mean: np.ndarray,
    std: np.ndarray,
    pool: Part,
    split: Mapping[str, np.ndarray],
    official_split: bool,
    test: Part | None,
    provenance: Mapping[str, Any],
) -> None:
    """Write ``dataset.h5``: `pool` with its `split` into ``train`` and ``validation`` indices, and the test part."""
    data: dict[str, Any] = {"images": pool.in_pieces(), "labels": pool.labels, "split": split}
    if test is not None:
        data["test"] = {"images": test.in_pieces(), "labels": test.labels}
    statistics = {"classes": [str(label) for label in classes], "mean": mean, "std": std}
    write_tree(
        path, data | statistics, attributes={"name": name, "official_split": official_split}, provenance=provenance
    )


def read_dataset(path: str | os.PathLike[str], parts: Sequence[str] = ("train", "validation", "test")) -> Dataset:
    """Read a ``dataset.h5``; the images stay mapped from the file.

    Parameters
    ----------
    path : path
    parts : sequence of str
        The parts to return, where the file has them.

    Raises
    ------
    UserError
        If the file is damaged or no ``dataset.h5``.
    """

    def build(tree: Group) -> Dataset:
        images, labels, split = tree["images"], tree["labels"], tree["split"]
        by_name = {name: Part(images, labels[split[name]], split[name]) for name in parts if name in split}
        if "test" in parts and "test" in tree:
            by_name["test"] = Part(tree["test"]["images"], tree["test"]["labels"])
        return Dataset(
            name=tree.attributes["name"],
            classes=tuple(tree["classes"]),
            mean=tree["mean"],
            std=tree["std"],
            parts=by_name,
            fingerprint=tree.attributes["fingerprint"],
            official_split=bool(tree.attributes["official_split"]),
        )

    return read_tree(path, build, kind="dataset.h5", mapped=MAPPED)
