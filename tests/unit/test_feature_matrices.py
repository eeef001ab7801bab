"""NFM and AGOP against their definition, and what is asked of thin factors against dense matrices, in float64."""

import math
from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import unfold

from ansatz import feature_matrices as fm
from ansatz.errors import UserError
from ansatz.feature_matrices import FeatureMatrix
from ansatz.initializers import initialize
from ansatz.networks import build, conv_layers
from ansatz.store import COMPARED
from drawn_networks import networks


def agop_by_definition(network, layer, images):
    """Unfold the layer's input into patches, differentiate the logits by them, average outer products of gradients."""
    position = list(dict(network.named_children())).index(layer)
    conv, before, after = network[position], network[:position], network[position + 1 :]
    d = conv.weight[0].numel()
    total = torch.zeros(conv.groups, d, d, dtype=images.dtype)
    for image in images:
        x = before(image[None].clone())
        geometry = {key: getattr(conv, key) for key in ("dilation", "padding", "stride")}
        patches = unfold(x, conv.kernel_size, **geometry).reshape(conv.groups, d, -1)  # (groups, d, positions)
        out_shape = conv(x).shape
        weight = conv.weight.reshape(conv.groups, -1, d)

        def logits(patches, conv=conv, weight=weight, out_shape=out_shape, after=after):
            z = (weight @ patches).reshape(conv.out_channels, -1)
            z = z if conv.bias is None else z + conv.bias[:, None]
            return after(z.reshape(out_shape))[0]

        jacobian = torch.func.jacrev(logits)(patches)  # (classes, groups, d, positions)
        total += torch.einsum("cgdp,cgep->gde", jacobian, jacobian)
    return total / len(images)


@settings(max_examples=60)
@given(networks())
def test_agop_is_what_the_definition_says(case):
    network, x = case
    found = fm.agop(network, [x[:1], x[1:]] if len(x) > 1 else [x])
    for layer, matrix in found.items():
        expected = agop_by_definition(network, layer, x).detach()
        torch.testing.assert_close(matrix.dense(), expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max() + 1e-30))


@settings(max_examples=20)
@given(networks())
def test_nfm_is_the_weights_gram_matrix(case):
    network, _ = case
    for layer, matrix in fm.nfm(network).items():
        conv = conv_layers(network)[layer]
        by_group = conv.weight.detach().reshape(conv.groups, conv.out_channels // conv.groups, -1)
        expected = torch.einsum("god,goe->gde", by_group, by_group)
        torch.testing.assert_close(matrix.dense(), expected)
        assert matrix.shape == tuple(conv.weight.shape[1:])


def small_network(classes=5):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, classes)]
    return nn.Sequential(*layers).double(), torch.randn(6, 3, 8, 8, dtype=torch.float64)


def test_probes_estimate_agop_without_bias():
    network, x = small_network()
    exact = fm.agop(network, [x])["0"].dense()
    estimates = torch.stack([fm.agop(network, [x], probes=4, seed=seed)["0"].dense() for seed in range(400)])
    error = (estimates.mean(0) - exact) / (estimates.std(0) / math.sqrt(len(estimates)))
    # the mean over seeds lies within its own standard error of the exact matrix: 27² entries, hence 5 of them
    assert error.abs().max() < 5


def test_more_probes_are_closer():
    network, x = small_network()
    exact = fm.agop(network, [x])["2"]
    cosines = [fm.cosine(fm.agop(network, [x], probes=k)["2"], exact) for k in (1, 500)]
    assert cosines[0] < cosines[1]
    assert cosines[1] > 0.999


@settings(max_examples=25)
@given(networks(), st.sampled_from([None, 1, 3, 11]), st.sampled_from([1, 300]))
def test_neither_batches_nor_directions_at_once_change_the_result(case, probes, at_once):
    """Each image has its own probes, and sums do not depend on how they are cut."""
    network, x = case
    whole = fm.agop(network, [x], probes=probes)
    with mock.patch.object(fm, "AT_ONCE", at_once):
        cut = fm.agop(network, x.split(1), probes=probes)
    for layer, matrix in whole.items():
        scale = float(matrix.dense().abs().max() + 1e-30)
        torch.testing.assert_close(cut[layer].dense(), matrix.dense(), rtol=1e-9, atol=1e-9 * scale)
        assert cut[layer].standard_error == pytest.approx(matrix.standard_error, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("probes", [2, 8, 20])
def test_the_standard_error_is_the_errors_root_mean_square(probes):
    """Over 300 seeds; the estimate of a square from S - 1 degrees of freedom has a mean that is known to 5 %."""
    network, x = small_network()
    exact = fm.agop(network, [x])
    estimates = [fm.agop(network, [x], probes=probes, seed=seed) for seed in range(300)]
    for layer, matrix in exact.items():
        dense, norm = matrix.dense(), matrix.dense().norm()
        errors = [(one[layer].dense() - dense).norm() / norm for one in estimates]
        told = [one[layer].standard_error * one[layer].dense().norm() / norm for one in estimates]
        truth, found = (float(torch.tensor(values).square().mean().sqrt()) for values in (errors, told))
        assert found == pytest.approx(truth, rel=0.2)


def test_what_is_exact_has_no_standard_error_and_one_probe_does_not_tell_its_own():
    network, x = small_network()
    assert {matrix.standard_error for matrix in fm.agop(network, [x]).values()} == {0.0}
    estimate = fm.agop(network, [x], probes=1)["0"]
    assert math.isnan(estimate.standard_error)
    assert fm.agop(network, [x], probes=2)["0"].scaled(4).standard_error > 0
    assert math.isnan(fm.agop(network, [x], probes=2)["0"].square_root().standard_error)


def test_bfloat16_is_near_and_sums_in_float32():
    """Gradients of 8 bits at float32's activations; the global precision of products is left as it was."""
    torch.manual_seed(0)
    network, x = build("vgg11", 5, seed=0, width=0.25), torch.randn(4, 3, 32, 32)
    initialize(network, "kaiming_normal", seed=0)
    exact, rounded = fm.agop(network, [x]), fm.agop(network, [x], precision="bfloat16")
    assert all(fm.cosine(exact[layer], rounded[layer]) > 0.9999 for layer in exact)
    assert not any(torch.equal(exact[layer].factor, rounded[layer].factor) for layer in exact)
    assert {matrix.factor.dtype for matrix in rounded.values()} == {torch.float32}
    assert torch.get_float32_matmul_precision() == "highest"
    assert not any("forward" in vars(conv) for conv in conv_layers(network).values())
    gradients = torch.randn(1000, 4, 8, 8).bfloat16().float()  # whose products are exact, so that sums are tested
    z = gradients.double().movedim(1, -1).flatten(0, -2)
    sums = fm._SecondMoments()
    sums.into = {"layer": torch.zeros(1, 4, 4)}
    with fm._products_in("bfloat16"):
        sums.add("layer", (gradients,))
    torch.testing.assert_close(sums.into["layer"][0].double(), z.mT @ z, rtol=1e-4, atol=0.02)


def test_the_batch_is_as_large_as_the_memory_allows():
    network, x = small_network()
    one = fm.batch_size(network, x[:1], 1)
    many = fm.batch_size(network, x[:1], 10**6)
    kept = 8 * (3 * 8 * 8 + 4 * 6 * 6 + 6 * 4 * 4)  # what convolutions are given, which ReLU keeps too
    assert (one, many) == (1, 10**6 // kept)


def test_scaling_the_logits_scales_agop_by_the_square_and_leaves_the_correlation():
    network, x = small_network()
    before = fm.agop(network, [x])
    with torch.no_grad():
        network[-1].weight *= 3
    after = fm.agop(network, [x])
    torch.testing.assert_close(after["0"].dense(), 9 * before["0"].dense())
    weights = fm.nfm(network)["0"]
    assert fm.correlation(weights, after["0"]) == pytest.approx(fm.correlation(weights, before["0"]), abs=1e-12)


def test_a_layer_used_twice_counts_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(2, 2, 3, padding=1), nn.Linear(32, 3)

        def forward(self, x):
            return self.head(self.conv(torch.tanh(self.conv(x))).flatten(1))

    torch.manual_seed(0)
    network, x = Twice().double(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    unrolled = nn.Sequential(
        network.conv, nn.Tanh(), nn.Conv2d(2, 2, 3, padding=1), nn.Flatten(), network.head
    ).double()
    unrolled[2].load_state_dict(network.conv.state_dict())
    apart = fm.agop(unrolled, [x])
    expected = apart["0"].dense() + apart["2"].dense()
    torch.testing.assert_close(fm.agop(network, [x])["conv"].dense(), expected)


@pytest.mark.parametrize("parting", ["before the logits", "before the head"])
def test_gradients_may_part_anywhere(parting):
    """A residual branch, and one that goes round all that follows it, against gradients logit by logit."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.head, self.aside = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x):
            first = self.a(x)
            last = (first + self.b(torch.tanh(first))).mean((2, 3))
            aside = self.aside(first.mean((2, 3))) if parting == "before the logits" else 0
            self.outputs = {"a": first}
            return self.head(torch.tanh(last)) + aside

    torch.manual_seed(0)
    network, x = Residual().double(), torch.randn(3, 2, 4, 4, dtype=torch.float64)
    found, logits = fm.agop(network, [x])["a"].dense()[0], network(x)
    gradients = [torch.autograd.grad(z.sum(), network.outputs["a"], retain_graph=True)[0] for z in logits.T]
    z = torch.stack(gradients).movedim(2, -1).flatten(0, -2)  # (N, out)
    weight = network.a.weight.detach().flatten(1)
    torch.testing.assert_close(found, weight.T @ z.T @ z @ weight / len(x))


def test_an_unused_layer_has_a_zero_agop_and_no_correlation():
    network, x = small_network()
    network.add_module("unused", nn.Sequential())
    network.unused.append(nn.Conv2d(1, 1, 1).double())
    network.forward = lambda x: nn.Sequential.forward(network[:6], x)
    matrix = fm.agop(network, [x])["unused.0"]
    assert not matrix.factor.any()
    assert math.isnan(fm.correlation(matrix, matrix))


def test_the_network_is_left_as_it_was():
    network, x = small_network()
    network.train()
    strides = [parameter.stride() for parameter in network.parameters()]
    with torch.inference_mode():
        fm.agop(network, [x.clone()])
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert [parameter.stride() for parameter in network.parameters()] == strides
    assert not any(parameter.is_inference() for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("own", ["subclass", "forward"])
def test_convolutions_with_a_forward_of_their_own_keep_it_in_bfloat16(own):
    class Squared(nn.Conv2d):
        def forward(self, x):
            return super().forward(x).square()

    torch.manual_seed(0)
    kind = Squared if own == "subclass" else nn.Conv2d
    network, x = nn.Sequential(kind(2, 4, 3), nn.Flatten(), nn.Linear(64, 3)), torch.randn(4, 2, 6, 6)
    if own == "forward":
        network[0].forward = partial(Squared.forward, Squared(2, 4, 3))
    exact, rounded = fm.agop(network, [x]), fm.agop(network, [x], precision="bfloat16")
    assert fm.cosine(exact["0"], rounded["0"]) > 0.999
    assert ("forward" in vars(network[0])) == (own == "forward")


def test_a_network_without_convolutions_or_without_gradients_has_nothing_to_show():
    x = torch.randn(2, 1, 4, 4)
    assert fm.agop(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), [x]) == {}

    class Bypassed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Linear(8, 3)

        def forward(self, x):
            with torch.no_grad():
                features = self.conv(x)
            return self.head(features.flatten(1))

    assert not fm.agop(Bypassed(), [x])["conv"].factor.any()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"precision": "float16"}, "precision 'float16' is none of float32, bfloat16"),
        ({"probes": 0}, "0 probes; it takes one at least"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, told):
    network, x = small_network()
    with pytest.raises(UserError, match=told):
        fm.agop(network, [x], **arguments)


def test_no_images_are_refused():
    with pytest.raises(UserError, match="no images"):
        fm.agop(small_network()[0], [])


def test_gradients_that_are_not_finite_are_refused():
    network, x = small_network()
    with torch.no_grad():
        network[-1].weight[0] = math.inf
    with pytest.raises(UserError, match="the gradients at layer 0 are not finite"):
        fm.agop(network, [x])
    with torch.no_grad():
        network[2].weight[0] = math.nan
    with pytest.raises(UserError, match="the weights of layer 2 are not finite"):
        fm.agop(network, [x])


factors = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 6), st.integers(0, 10**6))


def drawn(groups, rank, patch, seed):
    generator = torch.Generator().manual_seed(seed)
    return FeatureMatrix(torch.randn(groups, rank, patch, generator=generator, dtype=torch.float64), (patch, 1, 1))


@given(factors, st.integers(1, 4))
def test_correlation_and_cosine_are_those_of_the_dense_matrices(shape, other_rank):
    groups, rank, patch, seed = shape
    a, b = drawn(groups, rank, patch, seed), drawn(groups, other_rank, patch, seed + 1)
    x, y = a.dense().numpy().ravel(), b.dense().numpy().ravel()
    assert fm.correlation(a, b) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-10)
    assert fm.cosine(a, b) == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-10)


@given(factors)
def test_the_square_root_squares_to_the_matrix(shape):
    matrix = drawn(*shape)
    root = matrix.square_root().dense()
    torch.testing.assert_close(root @ root, matrix.dense(), rtol=1e-8, atol=1e-8)


@given(factors, st.floats(0.1, 10))
def test_trace_and_scale(shape, by):
    matrix = drawn(*shape)
    torch.testing.assert_close(matrix.trace(), matrix.dense().diagonal(dim1=1, dim2=2).sum(1))
    torch.testing.assert_close(matrix.scaled(by).dense(), by * matrix.dense())


def test_no_dense_matrix_of_a_vgg_is_made(monkeypatch):
    monkeypatch.setattr(FeatureMatrix, "dense", lambda self: pytest.fail("dense"))
    network = build("vgg11", 3, seed=0, width=0.125)
    matrices = fm.agop(network, [torch.randn(2, 3, 32, 32)])
    assert [matrix.factor.shape[2] for matrix in matrices.values()] == [27, 72, 144, 288, 288, 576, 576, 576]
    assert all(not math.isnan(fm.correlation(nfm, matrices[layer])) for layer, nfm in fm.nfm(network).items())


def test_on_file_and_back(tmp_path):
    network, x = small_network()
    matrices = {"nfm": fm.nfm(network), "agop": fm.agop(network, [x], probes=3)}
    fm.write(tmp_path / "features.h5", network, matrices, {}, images=6, estimator="exact", source="test")
    read = fm.read(tmp_path / "features.h5")
    for kind, by_layer in matrices.items():
        assert list(read[kind]) == list(by_layer)
        for layer, matrix in by_layer.items():
            assert read[kind][layer].shape == matrix.shape
            assert read[kind][layer].standard_error == matrix.standard_error
            torch.testing.assert_close(read[kind][layer].factor, matrix.factor.float())


# ------------------------------------------------------------------------------------------------- matching layers
def test_layers_of_equal_sequences_match_in_order():
    assert fm.match({"a": (3, 3, 3), "b": (3, 3, 3)}, {"x": (3, 3, 3), "y": (3, 3, 3)}) == {"a": "x", "b": "y"}


def test_layers_match_by_patch_where_that_is_unambiguous():
    source = {"x": (8, 3, 3), "y": (3, 3, 3), "z": (9, 1, 1)}
    assert fm.match({"a": (3, 3, 3), "b": (8, 3, 3), "c": (8, 3, 3)}, source) == {"a": "y", "b": "x", "c": "x"}


def test_a_choice_of_layers_decides():
    twins = {"x": (3, 3, 3), "y": (3, 3, 3), "z": (4, 1, 1)}
    assert fm.match({"a": (3, 3, 3), "b": (4, 1, 1)}, twins, {"a": "y"}) == {"a": "y", "b": "z"}
    for chosen in ({"a": "z"}, {"a": "w"}, {"c": "x"}):
        with pytest.raises(
            UserError, match=r"layers: \w cannot take \w; the network has a 3x3x3.* the source has x 3x3x3"
        ):
            fm.match({"a": (3, 3, 3)}, twins, chosen)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"x": (3, 3, 3), "y": (3, 3, 3)}, "layer a with patches 3x3x3 could take x or y"),
        ({"x": (27, 1, 1)}, "layer a with patches 3x3x3 finds none; .* the source has x 27x1x1"),
    ],
)
def test_ambiguous_or_missing_layers_are_refused_with_the_list(source, expected):
    with pytest.raises(UserError, match=expected):
        fm.match({"a": (3, 3, 3)}, source)


def test_what_is_compared_is_what_dense_matrices_give():
    """Pearson and cosine of dense matrices and of their square roots, in float64."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3, groups=2), nn.Flatten(), nn.Linear(64, 3))
    network.double()
    images = [torch.randn(5, 2, 8, 8, dtype=torch.float64)]
    matrices = []
    for _ in ("initial", "trained"):
        matrices.append({"nfm": fm.nfm(network), "agop": fm.agop(network, images)})
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    rows = fm.compare(*matrices)
    assert [row["layer"] for row in rows] == ["0", "2"]
    assert [row["shape"] for row in rows] == ["2x3x3", "3x3x3 in 2 groups"]

    def root(dense):
        values, vectors = np.linalg.eigh(dense)
        kept = np.where(values > 1e-12 * values.max(), values, 0)  # rounding is not to be rooted
        return vectors * np.sqrt(kept)[..., None, :] @ vectors.swapaxes(-1, -2)

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


def test_scaling_the_logits_scales_agop_by_the_square_and_leaves_correlations():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3)).double()
    images = [torch.randn(5, 2, 8, 8, dtype=torch.float64)]
    before = fm.agop(network, images)["0"]
    with torch.no_grad():
        network[3].weight *= 3
    after = fm.agop(network, images)["0"]
    torch.testing.assert_close(after.dense(), 9 * before.dense())
    features = fm.nfm(network)["0"]
    assert fm.correlation(features, after) == pytest.approx(fm.correlation(features, before), abs=1e-10)


def test_the_agop_of_two_linear_layers_is_known():
    """f = a · relu-free sum over positions of W v: each patch's gradient is Wᵀ a, whatever the image."""
    torch.manual_seed(0)
    conv, head = nn.Conv2d(1, 4, 2, bias=False).double(), torch.randn(3, 4, dtype=torch.float64)

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv

        def forward(self, x):
            return self.conv(x).sum((2, 3)) @ head.T

    found = fm.agop(Sum(), [torch.randn(7, 1, 4, 4, dtype=torch.float64)])["conv"].dense()[0]
    w = conv.weight.detach().reshape(4, 4)
    torch.testing.assert_close(found, 9 * w.T @ head.T @ head @ w)  # 9 patches an image
