"""How similar two feature matrices are: cosine and correlation of their entries."""

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import torch

from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix, Shape, shape_text
from ansatz.files.features import OF_SOURCES
from ansatz.files.tables import COMPARED, POWERS


def cosine(a: FeatureMatrix, b: FeatureMatrix) -> float:
    """Return the cosine of two feature matrices as vectors of their entries; computed from the factors.

    ``<A, B> = |F_A F_B.T|²``, summed over groups. NaN if one of the matrices is zero.

    Raises
    ------
    UserError
        If they are over different patches, or of different numbers of groups.
    """
    _check_comparable(a, b)
    return _normalized(_inner(a, b), _inner(a, a), _inner(b, b))


def correlation(a: FeatureMatrix, b: FeatureMatrix) -> float:
    """Return the Pearson correlation of two feature matrices over their entries; computed from the factors.

    NaN if all entries of one of the matrices are equal, up to rounding. Errors are those of `cosine`.
    """
    _check_comparable(a, b)
    return _normalized(_centred(a, b), *(_spread(matrix) for matrix in (a, b)))


def compare(
    initial: Mapping[str, Mapping[str, FeatureMatrix]], trained: Mapping[str, Mapping[str, FeatureMatrix]]
) -> list[dict[str, Any]]:
    """Compare the feature matrices of every layer before and after training.

    The ansatz says that NFM and AGOP align in a trained network. They may align before training too, as both are made
    from the same weights; hence the controls.

    Parameters
    ----------
    initial, trained : mapping
        ``matrices["nfm" | "agop"][layer]`` of a network before and after its training; after it, maybe ``centred_nfm``
        and ``gradient`` too.

    Returns
    -------
    list of dict
        A row per layer, and one per head of the queries, keys and values of an attention: ``layer``, ``shape`` (of its
        patches, and its number of groups if it has several), ``head``, ``standard_error`` (of the trained AGOP);
        ``correlation_*`` and ``cosine_*`` of the pairs in `ansatz.files.tables.COMPARED`, NaN where a matrix is not
        there; and ``power_*``, the correlations of NFM with AGOP to the powers in `ansatz.files.tables.POWERS`.
    """
    rows = []
    for layer in trained["nfm"]:
        rows.append(_compared(layer, _side(initial, layer), _side(trained, layer)))
        nfm = trained["nfm"][layer]  # of heads, where it is over tokens; groups of convolutions are over patches
        heads = len(nfm.factor) if len(nfm.shape) == 1 else 1
        for head in range(heads) if heads > 1 else ():
            own = _compared(layer, *(_side(matrices, layer, head) for matrices in (initial, trained)))
            rows.append(own | {"head": head + 1})
    return rows


def _side(
    matrices: Mapping[str, Mapping[str, FeatureMatrix]], layer: str, head: int | None = None
) -> dict[str, FeatureMatrix]:
    """Return a layer's matrices by kind, or those of one of its heads."""
    own = {kind: by_layer[layer] for kind, by_layer in matrices.items()}
    return own if head is None else {kind: matrix.group(head) for kind, matrix in own.items()}


def _compared(layer: str, initial: Mapping[str, FeatureMatrix], trained: Mapping[str, FeatureMatrix]) -> dict[str, Any]:
    nfm, agop = trained["nfm"], trained["agop"]
    powers = dict(zip(POWERS, agop.powers(POWERS), strict=True))
    root = powers[0.5]
    matrices = {
        "nfm": nfm,
        "agop": agop,
        "root_agop": root,
        "initial_nfm": initial["nfm"],
        "initial_agop": initial["agop"],
        "initial_root_agop": initial["agop"].square_root(),
        "root_nfm": nfm.square_root(),
    }
    if (groups := len(nfm.factor)) > 1:
        matrices |= {"shuffled_agop": agop.rolled(), "shuffled_root_agop": root.rolled()}
    if "centred_nfm" in trained:
        matrices["centred_nfm"] = trained["centred_nfm"]
    shape = shape_text(nfm.shape) + (f" in {groups} groups" if groups > 1 else "")
    row: dict[str, Any] = {"layer": layer, "shape": shape, "head": None, "standard_error": agop.standard_error}
    for a, b in COMPARED:
        there = a in matrices and b in matrices
        row[f"correlation_{a}_{b}"] = correlation(matrices[a], matrices[b]) if there else math.nan
        row[f"cosine_{a}_{b}"] = cosine(matrices[a], matrices[b]) if there else math.nan
    if "gradient" in trained:
        row["correlation_nfm_fact"], row["cosine_nfm_fact"] = fact(nfm, trained["gradient"])
    return row | {f"power_{power}": correlation(nfm, each) for power, each in powers.items()}


def fact(nfm: FeatureMatrix, gradient: FeatureMatrix) -> tuple[float, float]:
    """Return how similar ``W.T W`` and ``-W.T (gradient of the loss by W)`` are: their correlation and their cosine.

    Where a network has converged with weight decay λ, the second is λ times the first: the features at convergence
    theorem (FACT). NaN if one of the matrices is zero, or all its entries are equal.

    Parameters
    ----------
    nfm : FeatureMatrix
        Its factor is W, (groups, rows, patch).
    gradient : FeatureMatrix
        Its factor is the gradient.

    References
    ----------
    Boix-Adserà, Mallinar, Simon and Belkin (2025). The features at convergence theorem. arXiv:2507.05644.
    """
    w, g = nfm.factor.double(), -gradient.factor.double()  # (groups, rows, patch)
    gram, crossed, of_gradient = w @ w.mT, w @ g.mT, g @ g.mT  # (groups, rows, rows)
    inner = [(gram * gram).sum(), (gram * crossed).sum(), (gram * of_gradient).sum()]
    sums = [(w.sum(2) * each.sum(2)).sum() for each in (w, g)]  # of all entries
    count = len(w) * w.shape[2] ** 2
    products = (sums[0] * sums[0], sums[0] * sums[1], sums[1] * sums[1])
    centred = [each - product / count for each, product in zip(inner, products, strict=True)]
    return tuple(_normalized(ab.item(), aa.item(), bb.item()) for aa, ab, bb in (centred, inner))  # type: ignore[return-value]


def compare_sources(
    sources: Mapping[str, Mapping[str, Mapping[str, FeatureMatrix]]],
) -> Iterator[dict[str, Any]]:
    """Compare the feature matrices of sources in pairs, layer by layer.

    Parameters
    ----------
    sources : mapping
        ``sources[name]["nfm" | "agop"][layer]``.

    Yields
    ------
    dict
        A row per pair, kind and layer, with the columns of `ansatz.files.tables.SOURCES_COMPARED`; ``layer`` is that of
        ``source``. Two sources are compared if their layers have the same groups and patch shapes, in the same order.
    """
    for (source, own), (other, others) in combinations(sources.items(), 2):
        for kind in OF_SOURCES:
            pair = own.get(kind, {}), others.get(kind, {})
            if _geometry(pair[0]) == _geometry(pair[1]):
                for (layer, a), b in zip(pair[0].items(), pair[1].values(), strict=True):
                    row = {"source": source, "other": other, "kind": kind, "layer": layer}
                    yield row | {"correlation": correlation(a, b)}


def _check_comparable(a: FeatureMatrix, b: FeatureMatrix) -> None:
    if a.factor.shape[::2] != b.factor.shape[::2]:
        first, second = (f"{len(each.factor)} over {shape_text(each.shape)}" for each in (a, b))
        raise UserError(f"feature matrices: {first} cannot be compared with {second}")


def _geometry(matrices: Mapping[str, FeatureMatrix]) -> list[tuple[int, Shape]]:
    """Return the groups and the patch shape of each layer, in order."""
    return [(len(matrix.factor), matrix.shape) for matrix in matrices.values()]


def _inner(a: FeatureMatrix, b: FeatureMatrix) -> float:
    return (a.factor.double() @ b.factor.double().mT).square().sum().item()


def _centred(a: FeatureMatrix, b: FeatureMatrix) -> float:
    """Return the inner product of two matrices whose entries are centred, without subtracting large numbers.

    With m the means of a factor's rows and ``F' = F - m 1.T``, a group's matrix is ``|m|² 1 1.T + 1 u.T + u 1.T +
    F'.T F'``, with ``u = F'.T m``. As F' and u sum to 0, the four terms are orthogonal, to those of the other matrix
    too; so only the first is centred, over groups, of which it is the mean entry.
    """
    (mean_a, u_a, rows_a), (mean_b, u_b, rows_b) = _parts(a), _parts(b)
    patch = a.factor.shape[2]
    means = patch**2 * ((mean_a - mean_a.mean()) * (mean_b - mean_b.mean())).sum()
    return (means + 2 * patch * (u_a * u_b).sum() + (rows_a @ rows_b.mT).square().sum()).item()


def _parts(matrix: FeatureMatrix) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ``|m|²`` (groups,), u (groups, patch) and F' (groups, rank, patch) of `_centred`."""
    factor = matrix.factor.double()
    means = factor.mean(2, keepdim=True)  # (groups, rank, 1)
    rows = factor - means
    return means.square().sum((1, 2)), (rows.mT @ means).squeeze(2), rows


def _spread(matrix: FeatureMatrix) -> float:
    """Return the inner product of a centred matrix with itself; 0 where it is but rounding."""
    spread = _centred(matrix, matrix)
    rounding = matrix.factor.shape[2] * torch.finfo(torch.float64).eps
    return spread if spread > rounding**2 * _inner(matrix, matrix) else 0.0


def _normalized(ab: float, aa: float, bb: float) -> float:
    return ab / (math.sqrt(aa) * math.sqrt(bb)) if aa > 0 and bb > 0 else math.nan
