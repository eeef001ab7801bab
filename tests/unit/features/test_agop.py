"""AGOP against its definition, in float64: unfolded patches, differentiated one logit at a time."""

import copy
import math
from functools import partial
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import unfold

from ansatz.errors import UserError
from ansatz.features.agop import _products_in, agop_over, batch_size
from ansatz.features.agop import agop as agop_of_maps
from ansatz.features.alignment import correlation, cosine
from ansatz.features.gradients import Gradients
from ansatz.features.matrix import FeatureMatrix, nfm
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.networks.layers import conv_layers
from ansatz.networks.maps import CONVOLUTIONS, linear_maps
from drawn_networks import networks, small_network
from made_images import made_images, made_network

pytestmark = pytest.mark.usefixtures("one_thread")


def agop(network, batches, **arguments):
    return agop_of_maps(network, batches, layers=CONVOLUTIONS, **arguments)


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
    for layer, matrix in agop(network, [x[:1], x[1:]] if len(x) > 1 else [x]).items():
        expected = agop_by_definition(network, layer, x).detach()
        torch.testing.assert_close(matrix.dense(), expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max() + 1e-30))


def test_outputs_are_the_first_logits():
    """As of a network whose last layer has no others; more than there are change nothing."""
    network, x = small_network()
    fewer = copy.deepcopy(network)
    fewer[-1].weight.data, fewer[-1].bias.data = network[-1].weight[:2].detach(), network[-1].bias[:2].detach()
    for outputs, expected in [(2, fewer), (7, network)]:
        matrices = agop(network, [x], outputs=outputs)
        for layer, matrix in agop(expected, [x]).items():
            torch.testing.assert_close(matrices[layer].dense(), matrix.dense(), rtol=1e-12, atol=0)


def test_a_sum_over_a_sample_is_its_number_times_the_mean():
    network, images = made_network(), made_images(train=9)["train"]
    mean, total = (agop_over(network, images, 4, reduction=reduction) for reduction in ("mean", "sum"))
    for layer in mean:
        torch.testing.assert_close(total[layer].dense(), 4 * mean[layer].dense())


def test_probes_estimate_agop_without_bias():
    network, x = small_network()
    exact = agop(network, [x])["0"].dense()
    estimates = torch.stack([agop(network, [x], probes=4, seed=seed)["0"].dense() for seed in range(400)])
    error = (estimates.mean(0) - exact) / (estimates.std(0) / math.sqrt(len(estimates)))
    # the mean over seeds lies within its own standard error of the exact matrix: 27² entries, hence 5 of them
    assert error.abs().max() < 5


def test_more_probes_are_closer():
    network, x = small_network()
    exact = agop(network, [x])["2"]
    cosines = [cosine(agop(network, [x], probes=k)["2"], exact) for k in (1, 500)]
    assert cosines[0] < cosines[1]
    assert cosines[1] > 0.999


@settings(max_examples=25)
@given(networks(), st.sampled_from([None, 1, 3, 11]), st.sampled_from([1, 300]))
def test_neither_batches_nor_chunks_of_directions_change_the_result(case, probes, gradient_bytes):
    """Each image has its own probes, and sums do not depend on how they are cut."""
    network, x = case
    whole = agop(network, [x], probes=probes)
    with mock.patch("ansatz.features.gradients.GRADIENT_BYTES", gradient_bytes):
        cut = agop(network, x.split(1), probes=probes)
    for layer, matrix in whole.items():
        scale = float(matrix.dense().abs().max() + 1e-30)
        torch.testing.assert_close(cut[layer].dense(), matrix.dense(), rtol=1e-9, atol=1e-9 * scale)
        assert cut[layer].standard_error == pytest.approx(matrix.standard_error, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("probes", [2, 20])
def test_the_standard_error_is_the_errors_root_mean_square(probes):
    """Over 300 seeds; the estimate of a square from S - 1 degrees of freedom has a mean that is known to 5 %."""
    network, x = small_network()
    exact = agop(network, [x])
    estimates = [agop(network, [x], probes=probes, seed=seed) for seed in range(300)]
    for layer, matrix in exact.items():
        dense, norm = matrix.dense(), matrix.dense().norm()
        errors = [(estimate[layer].dense() - dense).norm() / norm for estimate in estimates]
        stated = [estimate[layer].standard_error * estimate[layer].dense().norm() / norm for estimate in estimates]
        actual, estimated = (float(torch.tensor(values).square().mean().sqrt()) for values in (errors, stated))
        assert estimated == pytest.approx(actual, rel=0.2)


def test_an_exact_matrix_has_no_standard_error_and_one_probe_cannot_estimate_it():
    network, x = small_network()
    assert {matrix.standard_error for matrix in agop(network, [x]).values()} == {0.0}
    estimate = agop(network, [x], probes=1)["0"]
    assert math.isnan(estimate.standard_error)
    assert agop(network, [x], probes=2)["0"].scaled(4).standard_error > 0
    assert math.isnan(agop(network, [x], probes=2)["0"].square_root().standard_error)


def test_bfloat16_is_near_and_sums_in_float32():
    """Gradients of 8 bits at float32's activations; the global precision of products is left as it was."""
    torch.manual_seed(0)
    network, x = build("vgg11", 5, seed=0, width=0.25), torch.randn(4, 3, 32, 32)
    initialize(network, "kaiming_normal", seed=0)
    exact, rounded = agop(network, [x]), agop(network, [x], precision="bfloat16")
    assert all(cosine(exact[layer], rounded[layer]) > 0.9999 for layer in exact)
    *behind_convolutions, _last = exact  # the last layer's gradients are rounded only by processors with bfloat16
    assert not any(torch.equal(exact[layer].factor, rounded[layer].factor) for layer in behind_convolutions)
    assert {matrix.factor.dtype for matrix in rounded.values()} == {torch.float32}
    assert torch.get_float32_matmul_precision() == "highest"
    assert not any("forward" in vars(conv) for conv in conv_layers(network).values())
    gradients = torch.randn(1000, 4, 8, 8).bfloat16().float()  # whose products are exact, so that sums are tested
    z = gradients.double().movedim(1, -1).flatten(0, -2)
    sums = Gradients(network, linear_maps(network, CONVOLUTIONS))
    sums.into = {"features.0": torch.zeros(1, 4, 4)}
    with _products_in("bfloat16"):
        sums.add("features.0", slice(None), (gradients,))
    torch.testing.assert_close(sums.into["features.0"][0].double(), z.mT @ z, rtol=1e-4, atol=0.02)


def test_the_batch_is_as_large_as_the_memory_allows():
    network, x = small_network()
    per_image = 8 * (4 * 6 * 6 + 6 * 4 * 4)  # outputs of ReLU, one of them the input of the second convolution
    assert batch_size(network, x[:1], 1) == 1
    assert batch_size(network, x[:1], 10**6) == 10**6 // (2 * per_image)


def test_scaling_the_logits_scales_agop_by_the_square_and_leaves_the_correlation():
    network, x = small_network()
    before = agop(network, [x])
    with torch.no_grad():
        network[-1].weight *= 3
    after = agop(network, [x])
    torch.testing.assert_close(after["0"].dense(), 9 * before["0"].dense())
    weights = nfm(network)["0"]
    assert correlation(weights, after["0"]) == pytest.approx(correlation(weights, before["0"]), abs=1e-12)


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
    apart = agop(unrolled, [x])
    expected = apart["0"].dense() + apart["2"].dense()
    torch.testing.assert_close(agop(network, [x])["conv"].dense(), expected)


@pytest.mark.parametrize("fork", ["before the logits", "before the head"])
def test_gradients_may_branch_anywhere(fork):
    """A residual branch, and one around all layers after it, against gradients of single logits."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.head, self.aside = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x):
            first = self.a(x)
            last = (first + self.b(torch.tanh(first))).mean((2, 3))
            aside = self.aside(first.mean((2, 3))) if fork == "before the logits" else 0
            self.outputs = {"a": first}
            return self.head(torch.tanh(last)) + aside

    torch.manual_seed(0)
    network, x = Residual().double(), torch.randn(3, 2, 4, 4, dtype=torch.float64)
    matrix, logits = agop(network, [x])["a"].dense()[0], network(x)
    gradients = [torch.autograd.grad(z.sum(), network.outputs["a"], retain_graph=True)[0] for z in logits.T]
    z = torch.stack(gradients).movedim(2, -1).flatten(0, -2)  # (N, out)
    weight = network.a.weight.detach().flatten(1)
    torch.testing.assert_close(matrix, weight.T @ z.T @ z @ weight / len(x))


def test_an_unused_layer_has_a_zero_agop_and_no_correlation():
    network, x = small_network()
    network.add_module("unused", nn.Sequential())
    network.unused.append(nn.Conv2d(1, 1, 1).double())
    network.forward = lambda x: nn.Sequential.forward(network[:6], x)
    matrix = agop(network, [x])["unused.0"]
    assert not matrix.factor.any()
    assert math.isnan(correlation(matrix, matrix))


def test_the_network_is_left_as_it_was():
    network, x = small_network()
    network.train()
    strides = [parameter.stride() for parameter in network.parameters()]
    with torch.inference_mode():
        agop(network, [x.clone()])
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
    exact, rounded = agop(network, [x]), agop(network, [x], precision="bfloat16")
    assert cosine(exact["0"], rounded["0"]) > 0.999
    assert ("forward" in vars(network[0])) == (own == "forward")


def test_a_network_without_convolutions_or_without_gradients_has_nothing_to_show():
    x = torch.randn(2, 1, 4, 4)
    with pytest.raises(UserError, match=r"^layers: Conv2d fits none of 1$"):
        agop(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), [x])

    class Bypassed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Linear(8, 3)

        def forward(self, x):
            with torch.no_grad():
                features = self.conv(x)
            return self.head(features.flatten(1))

    assert not agop(Bypassed(), [x])["conv"].factor.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "float16"}, "precision 'float16' is none of float32, bfloat16"),
        ({"probes": 0}, "0 probes; use a whole number of at least 1"),
        ({"probes": 2.5}, "2.5 probes; use a whole number of at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    network, x = small_network()
    with pytest.raises(UserError, match=message):
        agop(network, [x], **arguments)


def test_no_images_are_refused():
    with pytest.raises(UserError, match="there are no images"):
        agop(small_network()[0], [])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["2.weight", "0.bias", "1.running_mean"])
def test_parameters_that_are_not_finite_are_refused(name, value):
    """ReLU hides some of them: the matrices would be finite."""
    network, x = small_network()
    network.insert(1, nn.BatchNorm2d(4).double())
    network[3] = nn.Conv2d(4, 6, 3).double()
    network.state_dict()[name.replace("2.", "3.")][0] = value
    with pytest.raises(UserError, match=f"AGOP: {name.replace('2.', '3.')} is not finite; has the network diverged"):
        agop(network, [x])


def test_images_and_gradients_that_are_not_finite_are_refused():
    network, x = small_network()
    x[4, 0, 0, 0] = math.nan
    with pytest.raises(UserError, match="AGOP: images 4 to 5 are not finite"):
        agop(network, [x[:4], x[4:]])
    with torch.no_grad():
        network[-1].weight[0] = 1e200
    with pytest.raises(UserError, match="the gradients at layer 0 are not finite"):
        agop(network, [x[:4]])


def test_no_dense_matrix_of_a_vgg_is_made(monkeypatch):
    monkeypatch.setattr(FeatureMatrix, "dense", lambda self: pytest.fail("dense"))
    network = build("vgg11", 3, seed=0, width=0.125)
    matrices = agop(network, [torch.randn(2, 3, 32, 32)])
    assert [matrix.factor.shape[2] for matrix in matrices.values()] == [27, 72, 144, 288, 288, 576, 576, 576]
    assert all(
        not math.isnan(correlation(matrix, matrices[layer])) for layer, matrix in nfm(network, CONVOLUTIONS).items()
    )


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

    matrix = agop(Sum(), [torch.randn(7, 1, 4, 4, dtype=torch.float64)])["conv"].dense()[0]
    w = conv.weight.detach().reshape(4, 4)
    torch.testing.assert_close(matrix, 9 * w.T @ head.T @ head @ w)  # 9 patches an image
