"""Read and write feature matrices, in ``features.h5``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ansatz.features.matrix import FeatureMatrix
from ansatz.files.features import Features, read_features, write_features
from ansatz.networks.maps import studied_maps
from ansatz.networks.weights import weights_fingerprint


def write_matrices(
    path: str | Path,
    network: nn.Module,
    matrices: Mapping[str, Mapping[str, FeatureMatrix]],
    provenance: Mapping[str, Any],
    **attributes: Any,
) -> None:
    """Write a network's ``matrices[kind][layer]`` to ``features.h5``, with attributes of the whole file.

    Kinds are those of `ansatz.files.features.KINDS`; only the NFM is always there.
    """
    factors = {kind: {name: _array(matrix) for name, matrix in by_layer.items()} for kind, by_layer in matrices.items()}
    layers = {name: each.geometry for name, each in studied_maps(network).items()}
    attributes["weights_fingerprint"] = weights_fingerprint(network)
    errors = {name: matrix.standard_error for name, matrix in matrices.get("agop", {}).items()}
    write_features(path, Features(factors, layers, attributes, errors), provenance)


def _array(matrix: FeatureMatrix) -> np.ndarray:
    return matrix.factor.float().cpu().numpy()


def read_matrices(path: str | Path) -> dict[str, dict[str, FeatureMatrix]]:
    """Read ``features.h5``: ``matrices["nfm" | "agop"][layer]``, float32 on the CPU.

    A network that was trained from known weights has ``matrices["centred_nfm"]`` too.
    The dense matrix of a layer is ``read_matrices(path)["agop"]["features.0"].dense()``.
    """
    features = read_features(path)

    def matrix(kind: str, layer: str) -> FeatureMatrix:
        shape = tuple(features.layers[layer]["shape"].tolist())
        error = features.standard_errors[layer] if kind == "agop" else 0.0
        return FeatureMatrix(torch.from_numpy(features.factors[kind][layer]), shape, error)

    return {kind: {layer: matrix(kind, layer) for layer in by_layer} for kind, by_layer in features.factors.items()}
