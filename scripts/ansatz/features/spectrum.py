"""What feature matrices hold: eigenvalues and effective ranks, layer by layer."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ansatz.features.matrix import FeatureMatrix, shape_text
from ansatz.files.features import OF_SOURCES

EIGENVALUES = 100  # at most, of a layer


def spectra(matrices: Mapping[str, Mapping[str, FeatureMatrix]]) -> Iterator[dict[str, Any]]:
    """Describe the spectrum of each feature matrix of a network.

    Parameters
    ----------
    matrices : mapping
        ``matrices["nfm" | "agop"][layer]``.

    Yields
    ------
    dict
        A row per kind, layer and eigenvalue, with the columns of `ansatz.files.tables.SPECTRA` after ``source``.
        Eigenvalues are shares of the trace. At most `EIGENVALUES` of a layer are listed, at indices that grow by a
        factor. Where a convolution has groups, eigenvalues and effective ranks are means over groups.
    """
    for kind in OF_SOURCES:
        for layer, matrix in matrices.get(kind, {}).items():
            values = matrix.eigenvalues()  # (groups, r)
            mean = (values / values.sum(1, keepdim=True)).mean(0).tolist()
            row: dict[str, Any] = {"kind": kind, "layer": layer, "shape": shape_text(matrix.shape)}
            row["effective_rank"] = matrix.effective_rank().mean().item()
            for index in _indices(len(mean)):
                yield row | {"index": index, "eigenvalue": mean[index - 1]}


def _indices(count: int) -> list[int]:
    """Return at most `EIGENVALUES` of the indices 1..count, evenly spaced on a logarithmic axis."""
    return np.unique(np.geomspace(1, count, EIGENVALUES).round().astype(int)).tolist()
