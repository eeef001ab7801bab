"""Cosine and correlation of feature matrices, and their comparison before and after training, with dense matrices."""

import math
import operator
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ansatz.features.agop import agop
from ansatz.features.alignment import compare, compare_sources, correlation, cosine
from ansatz.features.matrix import FeatureMatrix, nfm
from ansatz.files.tables import COMPARED, SOURCES_COMPARED
from drawn_networks import drawn_matrix, sizes_of_matrices


@given(sizes_of_matrices, st.integers(1, 4))
def test_correlation_and_cosine_are_those_of_the_dense_matrices(shape, other_rank):
    groups, rank, patch, seed = shape
    a, b = drawn_matrix(groups, rank, patch, seed), drawn_matrix(groups, other_rank, patch, seed + 1)
    x, y = a.dense().numpy().ravel(), b.dense().numpy().ravel()
    assert correlation(a, b) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-10)
    assert cosine(a, b) == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-10)


@given(sizes_of_matrices, st.sampled_from([1e-1, 1e-4, 1e-7]))
def test_nearly_constant_matrices_keep_their_digits(shape, size):
    """Against exact arithmetic: whole numbers, whose products and sums need no rounding, and fractions."""
    groups, rank, patch, seed = shape
    rng = np.random.default_rng(seed)
    count = round(1 / size)
    exact, matrices = [], []
    for _ in range(2):
        rows = rng.integers(-9, 10, (groups, rank, patch))
        rows = rows + count * rng.integers(1, 3, (groups, rank, 1))  # nearly the same in all columns
        dense = np.array(
            [[[sum(int(x) * int(y) for x, y in zip(*pair, strict=True)) for pair in product(f.T, f.T)] for f in rows]],
            dtype=object,
        ).ravel()
        exact.append([Fraction(int(value)) - Fraction(int(dense.sum()), len(dense)) for value in dense])
        matrices.append(FeatureMatrix(torch.from_numpy(rows.astype(float)), (patch, 1, 1)))
    (x, y), inner = exact, lambda x, y: sum(map(operator.mul, x, y))
    if inner(x, x) and inner(y, y):
        expected = float(inner(x, y)) / math.sqrt(inner(x, x)) / math.sqrt(inner(y, y))
        assert correlation(*matrices) == pytest.approx(expected, abs=1e-7)
    else:
        assert math.isnan(correlation(*matrices))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 7e-5, 1e8])
@pytest.mark.parametrize("rank", [1, 3])
def test_constant_matrices_have_no_correlation(value, rank):
    for dtype in (torch.float32, torch.float64):
        constant = FeatureMatrix(torch.full((2, rank, 7), value, dtype=dtype), (7, 1, 1))
        other = drawn_matrix(2, 3, 7, 0)
        assert math.isnan(correlation(constant, other))
        assert math.isnan(correlation(other, constant))
        assert math.isnan(correlation(constant, constant))


def test_what_is_compared_is_what_dense_matrices_give():
    """Pearson and cosine of dense matrices and of their square roots, in float64."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3, groups=2), nn.Flatten(), nn.Linear(64, 3))
    network.double()
    images = [torch.randn(5, 2, 8, 8, dtype=torch.float64)]
    matrices = []
    for _ in ("initial", "trained"):
        matrices.append({"nfm": nfm(network), "agop": agop(network, images)})
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    rows = compare(*matrices)
    assert [row["layer"] for row in rows] == ["0", "2"]
    assert [row["shape"] for row in rows] == ["2x3x3", "3x3x3 in 2 groups"]

    def root(dense):
        values, vectors = np.linalg.eigh(dense)
        positive = np.where(values > 1e-12 * values.max(), values, 0)  # without rounding errors, whose roots are large
        return vectors * np.sqrt(positive)[..., None, :] @ vectors.swapaxes(-1, -2)

    for row in rows:
        dense = {}
        for prefix, by_kind in zip(("initial_", ""), matrices, strict=True):
            for kind in ("nfm", "agop"):
                dense[prefix + kind] = by_kind[kind][row["layer"]].dense().numpy()
            dense[f"{prefix}root_agop"] = root(dense[f"{prefix}agop"])
        for a, b in COMPARED:
            x, y = dense[a].flatten(), dense[b].flatten()
            assert row[f"correlation_{a}_{b}"] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-10)
            cosine_of_both = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
            assert row[f"cosine_{a}_{b}"] == pytest.approx(cosine_of_both, abs=1e-10)


def test_sources_are_compared_in_pairs_layer_by_layer():
    """By order, whatever layers are called; AGOP only where both have it."""

    def source(seed, names, **kinds):
        return {
            kind: {name: drawn_matrix(1, 3, patch, seed + patch) for name, patch in zip(names, patches, strict=True)}
            for kind, patches in kinds.items()
        }

    sources = {
        "a": source(0, "xy", nfm=[4, 6], agop=[4, 6], centred_nfm=[4, 6]),
        "b": source(10, "uv", nfm=[4, 6], centred_nfm=[4, 6]),
        "c": source(20, "xy", nfm=[6, 4], agop=[4, 6]),
    }
    rows = list(compare_sources(sources))
    assert all(tuple(row) == SOURCES_COMPARED for row in rows)
    assert [tuple(row.values())[:4] for row in rows] == [
        ("a", "b", "nfm", "x"),
        ("a", "b", "nfm", "y"),
        ("a", "c", "agop", "x"),
        ("a", "c", "agop", "y"),
    ]
    assert rows[1]["correlation"] == correlation(sources["a"]["nfm"]["y"], sources["b"]["nfm"]["v"])


def test_layers_with_other_groups_are_not_compared():
    one, two = ({"nfm": {"x": drawn_matrix(groups, 3, 4, 0)}} for groups in (1, 2))
    assert not list(compare_sources({"one": one, "two": two}))
