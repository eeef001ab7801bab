"""Cosine and correlation of feature matrices, and their comparison before and after training, with dense matrices."""

import copy
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
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ansatz.data.batches import Tensors
from ansatz.errors import UserError
from ansatz.features.agop import agop
from ansatz.features.alignment import compare, compare_sources, correlation, cosine, fact
from ansatz.features.extraction import extract, loss_gradient
from ansatz.features.matrix import FeatureMatrix, nfm
from ansatz.files.features import KINDS
from ansatz.files.tables import COMPARED, POWERS, SOURCES_COMPARED
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


class Encoder(nn.Module):
    """Two convolutions, the second with groups, and an attention."""

    def __init__(self):
        super().__init__()
        self.convolutions = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3, groups=2))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        tokens = self.convolutions(x).flatten(2).mT  # (n, positions, channels)
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))


@pytest.fixture(scope="module")
def before_and_after():
    """The networks, and their matrices; "training" is random."""
    torch.manual_seed(0)
    network = Encoder().double()
    images = Tensors(torch.randn(5, 2, 6, 6, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0]), 2**30)
    initial = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    given = {"images": images, "estimator": {"sample_size": 5}}
    before = extract(["nfm", "agop"], initial, **given)
    return before, extract(KINDS, network, initial=initial, **given)


def dense_matrices(before, after, layer, head=None):
    """Return the matrices of a layer, or of a head, by the names in `COMPARED`: (groups, patch, patch)."""
    groups = slice(None) if head is None else slice(head - 1, head)

    def dense(matrices, kind, other=None):
        factor = matrices[kind][layer].factor[groups].numpy()
        return factor.swapaxes(1, 2) @ (factor if other is None else matrices[other][layer].factor[groups].numpy())

    def power(dense, exponent):
        values, vectors = np.linalg.eigh(dense)
        positive = np.where(values > 1e-12 * values.max(), values, 0)  # without rounding errors, whose roots are large
        return vectors * positive[..., None, :] ** exponent @ vectors.swapaxes(-1, -2)

    nfm, agop = dense(after, "nfm"), dense(after, "agop")
    named = {
        "nfm": nfm,
        "agop": agop,
        "root_agop": power(agop, 0.5),
        "root_nfm": power(nfm, 0.5),
        "initial_nfm": dense(before, "nfm"),
        "initial_agop": dense(before, "agop"),
        "initial_root_agop": power(dense(before, "agop"), 0.5),
        "centred_nfm": dense(after, "centred_nfm"),
        "fact": -dense(after, "nfm", "gradient"),
    }
    if len(nfm) > 1:
        named |= {f"shuffled_{kind}": np.roll(named[kind], 1, axis=0) for kind in ("agop", "root_agop")}
    return named, {exponent: power(agop, exponent) for exponent in POWERS}


def test_what_is_compared_is_what_dense_matrices_give(before_and_after):
    """Pearson and cosine of dense matrices and of their powers, in float64; of layers, and of heads."""
    rows = compare(*before_and_after)
    layers = ["convolutions.0", "convolutions.2", *(f"attention.{letter}" for letter in "qkv"), "attention.out_proj"]
    assert [row["layer"] for row in rows if row["head"] is None] == layers
    shapes = {row["layer"]: row["shape"] for row in rows if row["head"] is None}
    assert shapes["convolutions.2"] == "3x3x3 in 2 groups"
    assert shapes["attention.k"] == "4 in 2 groups"
    heads = [(row["layer"], row["head"]) for row in rows if row["head"]]
    assert heads == [(f"attention.{letter}", head) for letter in "qkv" for head in (1, 2)], "and none of convolutions"
    for row in rows:
        named, powers = dense_matrices(*before_and_after, row["layer"], row["head"])
        for a, b in COMPARED:
            measured = row[f"correlation_{a}_{b}"], row[f"cosine_{a}_{b}"]
            if a not in named or b not in named:
                assert np.isnan(measured).all()
                continue
            x, y = named[a].flatten(), named[b].flatten()
            expected = np.corrcoef(x, y)[0, 1], x @ y / np.linalg.norm(x) / np.linalg.norm(y)
            assert measured == pytest.approx(expected, abs=1e-9), (row["layer"], a, b)
        for exponent, power in powers.items():
            expected = np.corrcoef(named["nfm"].flatten(), power.flatten())[0, 1]
            assert row[f"power_{exponent}"] == pytest.approx(expected, abs=1e-9)


def test_what_is_not_there_is_not_compared(before_and_after):
    before, after = before_and_after
    row = compare(before, {kind: after[kind] for kind in ("nfm", "agop")})[0]
    assert math.isnan(row["correlation_nfm_fact"])
    assert math.isnan(row["cosine_centred_nfm_agop"])
    assert row["correlation_nfm_agop"] == compare(before, after)[0]["correlation_nfm_agop"]


def train_to_convergence(network, loss_of_network, decay):
    """Minimize a loss with weight decay: by L-BFGS until it sees no difference, then by Newton's method."""
    parameters = list(network.parameters())
    limits = {"max_iter": 20_000, "tolerance_grad": 1e-11, "tolerance_change": 0, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS(parameters, **limits)

    def objective():
        return loss_of_network() + decay / 2 * sum(parameter.square().sum() for parameter in parameters)

    def closure():
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    for _ in range(20):
        optimizer.step(closure)
    for _ in range(3):
        gradient = flat(torch.autograd.grad(objective(), parameters, create_graph=True))
        hessian = [flat(torch.autograd.grad(entry, parameters, retain_graph=True)) for entry in gradient]
        inverse = torch.linalg.pinv(torch.stack(hessian), rtol=1e-8, hermitian=True)  # rotations cost nothing
        vector_to_parameters(parameters_to_vector(parameters) - inverse @ gradient.detach(), parameters)
    closure()
    assert max(parameter.grad.abs().max() for parameter in parameters) < 1e-12


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors])


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_in_deep_linear_networks_the_first_nfm_is_a_root_of_agop(depth):
    """Its power is one over the number of layers (Tansley, Massart and Cartis 2025), and layer l's 1/(depth - l)."""
    torch.manual_seed(0)
    layers = [nn.Linear(5, 5, bias=False) for _ in range(depth)]
    network = nn.Sequential(nn.Flatten(), *layers).double()
    for layer in layers:
        nn.init.orthogonal_(layer.weight, gain=0.8)
    x, t = torch.randn(60, 5, dtype=torch.float64), torch.randn(60, 5, dtype=torch.float64)
    t = x @ torch.randn(5, 5, dtype=torch.float64) + 0.1 * t
    train_to_convergence(network, lambda: functional.mse_loss(network(x), t), decay=1e-2)
    matrices = {"nfm": nfm(network), "agop": agop(network, [x])}
    for number, layer in enumerate(matrices["nfm"]):
        exponent = 1 / (depth - number)
        own, (root,) = matrices["nfm"][layer], matrices["agop"][layer].powers([exponent])
        assert correlation(own, root) == pytest.approx(1, abs=1e-6), layer
        if exponent < 1:
            assert correlation(own, matrices["agop"][layer]) < 0.999, layer


def test_fact_holds_where_a_network_has_converged_with_weight_decay():
    """Not before; here the loss is the cross-entropy, as `loss_gradient` has it."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, labels = torch.randn(40, 6, dtype=torch.float64), torch.randint(3, (40,))
    images = Tensors(x, labels, 2**30)

    def measured():
        gradient = loss_gradient(network, images, 40, ["1"])["1"]
        return fact(nfm(network, ["1"])["1"], gradient)

    assert min(measured()) < 0.9
    decay = 1e-2
    train_to_convergence(network, lambda: functional.cross_entropy(network(x), labels), decay)
    assert measured() == pytest.approx((1, 1), abs=1e-6)
    gradient = loss_gradient(network, images, 40, ["1"])["1"].factor[0]
    torch.testing.assert_close(-gradient, decay * network[1].weight.detach(), rtol=1e-4, atol=1e-7)


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


def test_matrices_of_different_geometry_are_not_compared():
    one = drawn_matrix(1, 3, 4, 0)
    for other in (drawn_matrix(2, 3, 4, 0), drawn_matrix(1, 3, 5, 0)):
        for measure in (correlation, cosine):
            with pytest.raises(UserError, match=r"^feature matrices: 1 over .* cannot be compared with "):
                measure(one, other)
