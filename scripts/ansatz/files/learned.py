"""``learned.h5``: the features that a machine has learned from a task."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ansatz.files.hdf5 import Group, read_tree, write_tree


@dataclass(frozen=True)
class LearnedFeatures:
    """The features that a machine has learned from a task.

    Attributes
    ----------
    images : ndarray
        float32 (n, channels, height, width): images of the task.
    matrices : mapping of str to ndarray
        Feature matrices by layer, (patch, patch).
    shapes : mapping of str to tuple of int
        By layer, the shape of its patches: channels, rows, columns.
    saliency : mapping of str to ndarray
        By layer, how much of each image its matrix lets through, (n, rows, columns).
    """

    images: np.ndarray
    matrices: Mapping[str, np.ndarray]
    shapes: Mapping[str, tuple[int, ...]]
    saliency: Mapping[str, np.ndarray]


def write_learned(path: str | os.PathLike[str], learned: LearnedFeatures, provenance: Mapping[str, Any]) -> None:
    """Write ``learned.h5``."""
    layers = {
        layer: Group({"matrix": matrix, "saliency": learned.saliency[layer]}, shape=learned.shapes[layer])
        for layer, matrix in learned.matrices.items()
    }
    write_tree(path, {"images": learned.images, "layers": layers}, provenance=provenance)


def read_learned(path: str | os.PathLike[str]) -> LearnedFeatures:
    """Read a ``learned.h5``.

    Raises
    ------
    UserError
        If the file is damaged or no ``learned.h5``.
    """
    return read_tree(path, _learned, kind="learned.h5")


def _learned(tree: Group) -> LearnedFeatures:
    shapes = {}
    for layer, group in tree["layers"].items():
        channels, rows, columns = group.attributes["shape"].tolist()
        shapes[layer] = channels, rows, columns
    matrices = {layer: group["matrix"] for layer, group in tree["layers"].items()}
    saliency = {layer: group["saliency"] for layer, group in tree["layers"].items()}
    return LearnedFeatures(tree["images"], matrices, shapes, saliency)
