"""How similar two feature matrices are: cosine and correlation of their entries."""

import math
from collections.abc import Mapping
from typing import Any

from ansatz.features.matrix import FeatureMatrix, shape_text
from ansatz.files.tables import COMPARED


def cosine(a: FeatureMatrix, b: FeatureMatrix) -> float:
    """Return the cosine of two feature matrices as vectors of their entries; computed from the factors.

    ``<A, B> = |F_A F_B.T|²``, summed over groups. NaN if one of the matrices is zero.
    """
    return _normalized(_inner(a, b), _inner(a, a), _inner(b, b))


def correlation(a: FeatureMatrix, b: FeatureMatrix) -> float:
    """Return the Pearson correlation of two feature matrices over their entries; computed from the factors.

    With ``s = sum of entries = |F 1|²`` and N entries, the centred inner product is ``<A, B> - s_A s_B / N``.
    NaN if all entries of one of the matrices are equal.
    """
    entries = a.factor.shape[0] * a.factor.shape[2] ** 2

    def centred(x: FeatureMatrix, y: FeatureMatrix) -> float:
        return _inner(x, y) - _sum(x) * _sum(y) / entries

    return _normalized(centred(a, b), centred(a, a), centred(b, b))


def compare(
    initial: Mapping[str, Mapping[str, FeatureMatrix]], trained: Mapping[str, Mapping[str, FeatureMatrix]]
) -> list[dict[str, Any]]:
    """Compare the feature matrices of every convolution before and after training.

    The ansatz says that NFM and AGOP align in a trained network. They may align before training too, as both are made
    from the same weights; hence the comparisons with the initial matrices.

    Parameters
    ----------
    initial, trained : mapping
        ``matrices["nfm" | "agop"][layer]`` of a network before and after its training.

    Returns
    -------
    list of dict
        A row per layer: ``layer``, ``shape`` (of its patches, and its number of groups if it has several),
        ``standard_error`` (of the trained AGOP), and ``correlation_*`` and ``cosine_*`` of the pairs in
        `ansatz.files.tables.COMPARED`.
    """
    rows = []
    for layer in trained["nfm"]:
        matrices = {
            "nfm": trained["nfm"][layer],
            "agop": trained["agop"][layer],
            "root_agop": trained["agop"][layer].square_root(),
            "initial_nfm": initial["nfm"][layer],
            "initial_agop": initial["agop"][layer],
            "initial_root_agop": initial["agop"][layer].square_root(),
        }
        groups = len(matrices["nfm"].factor)
        shape = shape_text(matrices["nfm"].shape) + (f" in {groups} groups" if groups > 1 else "")
        row = {"layer": layer, "shape": shape, "standard_error": matrices["agop"].standard_error}
        for a, b in COMPARED:
            row[f"correlation_{a}_{b}"] = correlation(matrices[a], matrices[b])
            row[f"cosine_{a}_{b}"] = cosine(matrices[a], matrices[b])
        rows.append(row)
    return rows


def _inner(a: FeatureMatrix, b: FeatureMatrix) -> float:
    return (a.factor.double() @ b.factor.double().mT).square().sum().item()


def _sum(matrix: FeatureMatrix) -> float:
    return matrix.factor.double().sum(2).square().sum().item()


def _normalized(ab: float, aa: float, bb: float) -> float:
    return ab / math.sqrt(aa * bb) if aa > 0 and bb > 0 else math.nan
