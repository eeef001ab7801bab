"""``evolution.h5``: snapshots of a training."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ansatz.files.hdf5 import Group, read_tree, write_tree


@dataclass(frozen=True)
class LayerEvolution:
    """The snapshots of one convolution.

    Attributes
    ----------
    filters : ndarray
        (snapshots, out_channels, in_channels / groups, rows, columns).
    agop : ndarray
        Thin factors of AGOP, (snapshots, groups, rank, patch).
    outputs : ndarray
        The layer's outputs for the image, (snapshots, out_channels, rows, columns).
    correlations : mapping of str to ndarray
        By pair of matrices, such as ``nfm_agop``: (snapshots,).
    """

    filters: np.ndarray
    agop: np.ndarray
    outputs: np.ndarray
    correlations: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evolution:
    """The snapshots of a training.

    Attributes
    ----------
    curves : mapping of str to ndarray
        ``epoch``, ``step``, losses and accuracies: (snapshots,).
    layers : mapping of str to LayerEvolution
    image : ndarray
        uint8 (channels, height, width), for which outputs are recorded.
    name : str
        The name of the experiment.
    """

    curves: Mapping[str, np.ndarray]
    layers: Mapping[str, LayerEvolution]
    image: np.ndarray
    name: str = ""


def write_evolution(path: str | os.PathLike[str], evolution: Evolution, provenance: Mapping[str, Any]) -> None:
    """Write ``evolution.h5``."""
    layers = {name: vars(layer) for name, layer in evolution.layers.items()}
    tree = {"image": evolution.image, "curves": evolution.curves, "layers": layers}
    write_tree(path, tree, attributes={"name": evolution.name}, provenance=provenance)


def read_evolution(path: str | os.PathLike[str]) -> Evolution:
    """Read an ``evolution.h5``.

    Raises
    ------
    UserError
        If the file is damaged or no ``evolution.h5``.
    """
    return read_tree(path, _evolution, kind="evolution.h5")


def _evolution(tree: Group) -> Evolution:
    layers = {
        name: LayerEvolution(layer["filters"], layer["agop"], layer["outputs"], layer["correlations"])
        for name, layer in tree["layers"].items()
    }
    return Evolution(tree["curves"], layers, tree["image"], tree.attributes["name"])
