"""AGOP where the network stands in its way: cut graphs, hooks, types, layouts, outputs; against its definition."""

import logging
import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ansatz.errors import UserError
from ansatz.features.agop import agop
from ansatz.features.alignment import cosine
from ansatz.features.matrix import nfm
from drawn_networks import small_network

pytestmark = pytest.mark.usefixtures("one_thread")


def dense(network, batches, **arguments):
    return {layer: matrix.dense() for layer, matrix in agop(network, batches, **arguments).items()}


class Wrapped(nn.Module):
    """A network of two convolutions, whose images, or what is between its layers, go through functions."""

    def __init__(self, before=None, between=None, after=None):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3), nn.Linear(96, 5)
        self.before, self.between, self.after = before, between, after

    def forward(self, x):
        x = self.before(x) if self.before else x
        x = torch.tanh(self.a(x))
        x = self.between(x) if self.between else x
        logits = self.head(torch.tanh(self.b(x)).flatten(1))
        return self.after(logits) if self.after else logits


@pytest.fixture
def x():
    torch.manual_seed(1)
    return torch.randn(6, 3, 8, 8, dtype=torch.float64)


@pytest.fixture
def plain(x):
    return dense(Wrapped().double(), [x])


def same(actual, expected):
    for layer, matrix in expected.items():
        torch.testing.assert_close(actual[layer], matrix, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------------- where the graph is cut
@pytest.mark.parametrize(
    "before",
    [torch.Tensor.detach, lambda x: x.sub_(1).add_(1), torch.no_grad()(lambda x: x * 1)],
    ids=["detached", "in place", "without gradients"],
)
def test_images_need_no_gradient(before, x, plain):
    images = x.clone()
    same(dense(Wrapped(before).double(), [images]), plain)
    assert torch.equal(images, x)


def test_gradients_are_by_the_patches_where_images_are_made_binary(x):
    binary = Wrapped(lambda x: (x > 0).to(x.dtype)).double()
    same(dense(binary, [x]), dense(Wrapped().double(), [(x > 0).double()]))


def test_images_may_be_whole_numbers_that_are_embedded():
    class Embedded(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.embedding, self.wrapped = nn.Embedding(9, 3), Wrapped()

        def forward(self, x):
            return self.wrapped(self.embedding(x).movedim(-1, 1))

    network, tokens = Embedded().double(), torch.randint(9, (4, 8, 8))
    images = network.embedding(tokens).detach().movedim(-1, 1)
    expected = dense(network.wrapped, [images])
    same(dense(network, [tokens]), {f"wrapped.{layer}": matrix for layer, matrix in expected.items()})


def test_an_in_place_first_activation_changes_no_image(x):
    network = nn.Sequential(nn.ReLU(inplace=True), *small_network()[0])
    expected = dense(small_network()[0], [x.relu()])
    before = x.clone()
    same(dense(network, [x]), {str(int(layer) + 1): matrix for layer, matrix in expected.items()})
    assert torch.equal(x, before)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_layers_are_followed(reentrant, x, plain):
    network = Wrapped().double()
    network.between = lambda x: x
    inner = network.a.forward
    network.before = None

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.wrapped = network

        def forward(self, x):
            x = checkpoint(lambda x: torch.tanh(network.a(x)), x, use_reentrant=reentrant)
            x = checkpoint(lambda x: torch.tanh(network.b(x)), x, use_reentrant=reentrant)
            return network.head(x.flatten(1))

    assert inner is not None
    same(dense(Checkpointed(), [x]), {f"wrapped.{layer}": matrix for layer, matrix in plain.items()})


def test_a_convolution_that_the_network_computes_itself_is_followed(x, plain):
    class Functional(Wrapped):
        def forward(self, x):
            x = torch.tanh(functional.conv2d(x, self.a.weight, self.a.bias))
            return self.head(torch.tanh(functional.conv2d(input=x, weight=self.b.weight, bias=self.b.bias)).flatten(1))

    same(dense(Functional().double(), [x]), plain)


def test_layers_at_which_no_gradient_arrives_are_named_once(x, caplog):
    network = Wrapped(between=torch.Tensor.detach).double()
    network.idle = nn.Conv2d(1, 1, 1).double()
    with caplog.at_level(logging.WARNING):
        matrices = dense(network, x.split(2))
    assert [record.getMessage() for record in caplog.records] == [
        "AGOP: no gradient arrives at a, idle, whose AGOP is zero"
    ]
    assert not matrices["a"].any()
    assert matrices["b"].any()


def test_logits_without_a_graph_have_no_gradients(x, caplog):
    network = Wrapped(after=torch.Tensor.detach).double()
    assert not any(matrix.any() for matrix in dense(network, [x]).values())
    assert "no gradient arrives at a, b" in caplog.text


# ---------------------------------------------------------------------------------- what the user does to layers
def test_hooks_of_the_users_come_after_the_output(x):
    """A hook that multiplies the output by 3 is a part of what follows it."""
    network = Wrapped().double()
    network.a.register_forward_hook(lambda module, inputs, output: output * 3)
    tripled = Wrapped().double()
    with torch.no_grad():
        tripled.a.weight.mul_(3)
        tripled.a.bias.mul_(3)
    expected = dense(tripled, [x])
    same(dense(network, [x]), {"a": expected["a"], "b": expected["b"]})
    assert len(network.a._forward_hooks) == 1


@pytest.mark.parametrize("module", [nn.utils.parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_normed_weights_are_those_of_evaluation_and_stay(module, x):
    network = Wrapped().double()
    module(network.a)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    matrices, weights = dense(network, [x]), nfm(network)["a"].dense()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.eval()
    same(matrices, dense(network, [x]))
    weight = network.a.weight.detach().flatten(1)
    torch.testing.assert_close(weights[0], weight.T @ weight)


def test_weights_that_a_layer_computes_are_those_of_its_matrix(x):
    """A weight-standardised convolution: AGOP is by what it convolves with."""

    class Standardised(nn.Conv2d):
        def forward(self, x):
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return functional.conv2d(x, weight / weight.std((1, 2, 3), keepdim=True), self.bias)

    network, same_weights = Wrapped(), Wrapped().double()
    network.a = Standardised(3, 4, 3)
    network.double()
    same_weights.load_state_dict(network.state_dict())
    with torch.no_grad():
        same_weights.a.weight -= same_weights.a.weight.mean((1, 2, 3), keepdim=True)
        same_weights.a.weight /= same_weights.a.weight.std((1, 2, 3), keepdim=True)
    same(dense(network, [x]), dense(same_weights, [x]))


def test_compiled_layers_are_followed(x, plain):
    network = Wrapped().double()
    network.a.compile(backend="eager")
    compiled = torch.compile(network, backend="eager")
    same(dense(compiled, [x]), {f"_orig_mod.{layer}": matrix for layer, matrix in plain.items()})


class Loop(torch.autograd.Function):
    """The identity, whose gradient cannot be computed for several directions at once."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.from_numpy(gradient.numpy().copy())


def test_functions_that_cannot_be_batched_are_differentiated_one_by_one(x, plain):
    same(dense(Wrapped(after=Loop.apply).double(), [x]), plain)


# ------------------------------------------------------------------------------------------ types and layouts
@pytest.mark.parametrize("probes", [None, 3])
def test_an_instance_norm_is_right_for_a_single_image(probes):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.InstanceNorm2d(6), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(144, 5)]
    network, x = nn.Sequential(*layers).double(), torch.randn(5, 3, 8, 8, dtype=torch.float64)
    same(dense(network, x.split(1), probes=probes), dense(network, [x], probes=probes))
    same(dense(network, x.split(4), probes=probes), dense(network, [x], probes=probes))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_moments_of_half_precision_are_summed_in_float32(dtype):
    """In bfloat16, sums of like terms would stop growing at 256 of them."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3)).to(dtype)
    x = torch.randn(600, 1, 4, 4).to(dtype)
    alone, together = agop(network, x.split(1))["0"], agop(network.float(), [x.float()])["0"]
    assert alone.factor.dtype == torch.float32
    assert alone.trace().item() == pytest.approx(together.trace().item(), rel=0.02)
    assert cosine(alone, together) > 0.999


def test_autocast_around_it_changes_nothing(x):
    network, x = Wrapped(), x.float()
    plain = agop(network, [x])
    with torch.autocast("cpu", torch.bfloat16):
        inside = agop(network, [x])
    for layer, matrix in plain.items():
        assert inside[layer].factor.dtype == torch.float32
        assert torch.equal(inside[layer].factor, matrix.factor)


# ------------------------------------------------------------------------------------------- batches and outputs
def test_batches_may_have_labels_or_be_one_tensor(x, plain):
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.arange(6)), batch_size=4)
    for batches in (loader, x, [(x,)], [[x[:4], 0], [x[4:], 1]]):
        same(dense(Wrapped().double(), batches), plain)


class Output(dict):
    def __getattr__(self, name):
        return self[name]


@pytest.mark.parametrize(
    "after",
    [
        lambda z: {"aux": z * 2, "logits": z},
        lambda z: {"out": z},
        lambda z: (z, z * 2),
        lambda z: [z],
        lambda z: Output(logits=z, loss=None),
        lambda z: torch.return_types.max((z, z)),
    ],
)
def test_logits_are_found_in_the_output(after, x, plain):
    same(dense(Wrapped(after=after).double(), [x]), plain)


@pytest.mark.parametrize(
    ("change", "batches", "line"),
    [
        ({}, lambda x: [x.float()], r"of float64, cannot take images \(6, 3, 8, 8\) of float32: "),
        ({}, lambda x: [x.byte()], r"of float64, cannot take images \(6, 3, 8, 8\) of uint8: "),
        ({}, lambda x: [x[:, 0]], r"cannot take images \(6, 8, 8\) of float64: "),
        ({}, lambda x: [x[:, :, None]], r"cannot take images \(6, 3, 1, 8, 8\) of float64: "),
        ({}, lambda x: [{"x": x}], "a batch is dict; it must be images"),
        ({}, lambda x: [x[0, 0, 0]], r"a batch is a tensor \(8,\); it must be images"),
        ({"after": lambda z: None}, lambda x: [x], "network: returns NoneType; it must return logits"),
        ({"after": lambda z: ()}, lambda x: [x], "network: returns tuple; it must return logits"),
        ({"after": lambda z: z[:, :0]}, lambda x: [x], r"must return logits \(n, classes\); it returns \(6, 0\)"),
        ({"after": lambda z: z.sum()}, lambda x: [x], r"must return logits \(n, classes\); it returns \(\)"),
    ],
)
def test_what_cannot_be_is_one_line(change, batches, line, x):
    with pytest.raises(UserError, match=line) as caught:
        agop(Wrapped(**change).double(), batches(x))
    assert "\n" not in str(caught.value)


def test_each_image_must_have_its_logits(x):
    with pytest.raises(UserError, match="the network returns 1 rows of logits for 6 images"):
        agop(Wrapped(after=lambda z: z.mean(0, keepdim=True)).double(), [x])


@pytest.mark.parametrize("network", [nn.Sequential(nn.LazyConv2d(4, 3)), Wrapped().to("meta")])
def test_networks_without_values_are_refused(network, x):
    with pytest.raises(UserError, match="weight has no values yet; run the network on one batch, or load its weights"):
        agop(network, [x.float()])


def test_networks_without_gradients_or_without_layers_are_refused(x):
    with torch.inference_mode():
        network = Wrapped()
    with pytest.raises(UserError, match=r"a\.weight was made in inference mode, which keeps no gradients"):
        agop(network, [x.float()])
    traced = torch.jit.trace(Wrapped().double(), x)
    with pytest.raises(UserError, match="traced and scripted networks hide their layers"):
        agop(traced, [x])


def test_a_failure_leaves_the_network_as_it_was(x):
    network = Wrapped().double()
    with pytest.raises(UserError):
        agop(network, [x.float()])
    assert "forward" not in vars(network.a)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert network.training


# ---------------------------------------------------------------------------------------------------- errors
def test_the_standard_error_is_relative_to_the_exact_matrix():
    """Few probes of many logits, so that errors are as large as the matrix."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(32, 40)).double()
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64)
    exact = agop(network, [x])["0"].dense()
    actual, stated = [], []
    for seed in range(400):
        estimate = agop(network, [x], probes=4, seed=seed)["0"]
        actual.append(float((estimate.dense() - exact).norm() / exact.norm()))
        stated.append(estimate.standard_error)
    told = sorted(stated)[len(stated) // 2]
    root_mean_square = math.sqrt(sum(error**2 for error in actual) / len(actual))
    assert told == pytest.approx(root_mean_square, rel=0.2)
