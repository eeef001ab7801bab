"""The published distributions of our initializers, and what runs of one seed share."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ansatz import registry
from ansatz.data.batches import Images, Tensors, on_device
from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix, nfm
from ansatz.features.resizing import resized
from ansatz.files.dataset import Dataset, Part
from ansatz.initializers.initialize import initialize
from ansatz.initializers.scaling import COVARIANCE_SCALINGS
from ansatz.networks.build import build
from ansatz.networks.layers import conv_layers
from ansatz.training.config import TrainingConfig
from ansatz.training.trainer import Trainer
from initializer_checks import ERRORS, FILTERS, NEEDS, PATCH, covariance_errors, filters_of, source

FAN_IN, FAN_OUT = PATCH, 9 * FILTERS
VARIANCES = {
    "normal": 0.05**2,
    "uniform": 0.05**2 / 12,
    "xavier_normal": 2 * 2 / (FAN_IN + FAN_OUT),
    "xavier_uniform": 2 * 2 / (FAN_IN + FAN_OUT),
    "kaiming_normal": 2 / FAN_IN,
    "kaiming_uniform": 2 / FAN_IN,
}  # as published


@pytest.mark.parametrize("name", VARIANCES)
def test_filters_are_independent_with_the_published_variance(name):
    errors = covariance_errors(filters_of(name), VARIANCES[name] * torch.eye(FAN_IN, dtype=torch.float64))
    assert errors.max() < ERRORS


@pytest.mark.parametrize(
    ("name", "kurtosis"), [("normal", 3.0), ("uniform", 1.8), ("kaiming_normal", 3.0), ("agop", 3.0)]
)
def test_the_shape_of_the_distribution(name, kurtosis):
    weights = filters_of(name)[0].double()
    standard = weights / weights.std(0)
    assert standard.pow(4).mean(0).mean() == pytest.approx(kurtosis, rel=0.03)


def test_orthogonal_filters_are_orthogonal():
    weights = filters_of("orthogonal", filters=8)[0]
    torch.testing.assert_close(weights @ weights.T, 2 * torch.eye(8), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "needs", "scale"),
    [
        ("nfm", "nfm", "unit"),
        ("agop", "agop", "unit"),
        ("kaiming_nfm", "nfm", "kaiming"),
        ("kaiming_agop", "agop", "kaiming"),
    ],
)
def test_the_studys_initializers_declare_what_they_are(name, needs, scale):
    declared = registry.define("initializer", name).declared
    assert (declared["needs"], declared.get("scale", "unit")) == (needs, scale)


def test_kaiming_scaled_filters_have_the_size_of_kaiming_normals():
    sizes = [filters_of(name).square().sum(2).mean().item() for name in ("kaiming_nfm", "kaiming_normal")]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


@pytest.mark.parametrize("size", [1, 1e-12])  # of the second, what is added to be positive definite is the most
@pytest.mark.parametrize("scale", ["unit", "kaiming"])
@pytest.mark.parametrize("kind", ["nfm", "agop"])
def test_the_released_scaling(kind, scale, size):
    """As in the study's code: the root of AGOP, positive definite; trace 1, or unnormalised, and then AGOP / 100."""
    matrix = source()[kind]["0"].scaled(size)
    dense = matrix.dense().double()
    if kind == "agop":
        values, vectors = torch.linalg.eigh(dense)
        dense = vectors @ torch.diag_embed(values.clamp_min(0).sqrt()) @ vectors.mT
    values = torch.linalg.eigvalsh(dense).amin(1)  # (groups,)
    if values.amin() <= 1e-9:
        dense = dense + (values.clamp_max(0).abs() + 1e-6).view(-1, 1, 1) * torch.eye(dense.shape[1])
    if scale == "kaiming":
        dense = dense * math.sqrt(2) / math.sqrt(FAN_IN) / (100 if kind == "agop" else 1)
    else:
        dense = dense / dense.diagonal(dim1=1, dim2=2).sum()
    scaled = COVARIANCE_SCALINGS["released"](matrix, kind=kind, scale=scale, fan_in=FAN_IN).dense().double()
    torch.testing.assert_close(scaled, dense, rtol=1e-3, atol=1e-4 * float(dense.abs().max()))


def network_for(name, seed=3):
    network = build("vgg11", 10, seed=seed, width=0.03125)
    matrices = {
        layer: FeatureMatrix(conv.weight.detach().flatten(1)[None], tuple(conv.weight.shape[1:]))
        for layer, conv in conv_layers(network).items()
    }
    images = Tensors(torch.randn(8, 3, 32, 32), torch.zeros(8, dtype=torch.int64), 2**30)
    initialize(network, name, seed=seed, matrices=dict.fromkeys(NEEDS, matrices), images=images)
    return network


def test_one_seed_gives_every_initializer_the_same_classifier():
    networks = {name: network_for(name) for name in registry.definitions("initializer")}
    reference = networks["normal"].state_dict()
    for name, network in networks.items():
        for key, value in network.state_dict().items():
            if not key.startswith("features."):
                assert torch.equal(value, reference[key]), (name, key)
    filters = {name: network.features[0].weight for name, network in networks.items()}
    assert not any(torch.equal(filters["normal"], other) for name, other in filters.items() if name != "normal")


def test_one_seed_gives_every_initializer_the_same_order_and_dropout(monkeypatch):
    """Record the order of the images, and the generator's state before each dropout mask is drawn."""
    rng = np.random.default_rng(0)
    part = Part(rng.integers(0, 256, (24, 1, 8, 8), dtype=np.uint8), np.arange(24) % 10)
    data = Dataset("made", ("a",) * 10, np.zeros(1), np.ones(1), {"train": part}, "")
    images = on_device(data, size=32, channels=3, device=torch.device("cpu"))["train"]
    orders, states = {}, {}
    batches = Images.batches
    for name in ("normal", "kaiming_nfm", "orthogonal"):
        state = states.setdefault(name, [])

        def recorded(self, size, order=None, name=name):
            orders.setdefault(name, []).append(order.tolist())
            return batches(self, size, order)

        monkeypatch.setattr(Images, "batches", recorded)
        network = network_for(name)
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.register_forward_pre_hook(lambda m, x, s=state: s.append(torch.get_rng_state().tolist()))
        Trainer(network, {"train": images}, TrainingConfig(epochs=2, batch_size=8), seed=3).train()
    assert orders["normal"] == orders["kaiming_nfm"] == orders["orthogonal"]
    assert states["normal"] == states["kaiming_nfm"] == states["orthogonal"]
    assert orders["normal"][0] != orders["normal"][1], "each epoch has its own order"
    assert len({str(state) for state in states["normal"]}) == 2 * 3 * 2, "each step and layer has its own mask"


def test_normal_has_a_standard_deviation_of_its_own_for_the_first_layer():
    network = nn.Sequential(nn.Conv2d(3, 400, 5), nn.Conv2d(400, 300, 3))
    initialize(network, "normal", seed=0, options={"std": 0.01, "first_std": 0.2})
    assert network[0].weight.std().item() == pytest.approx(0.2, rel=0.02)
    assert network[1].weight.std().item() == pytest.approx(0.01, rel=0.02)
    initialize(network, "normal", seed=0, options={"std": 0.01})
    assert network[0].weight.std().item() == pytest.approx(0.01, rel=0.02)


def test_without_an_initializer_the_network_stays_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    before = [parameter.clone() for parameter in network.parameters()]
    initialize(network, None, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_another_seed_draws_other_filters():
    assert not torch.equal(network_for("normal", 1).features[0].weight, network_for("normal", 2).features[0].weight)


@pytest.mark.parametrize("matrices", [None, {"agop": {}}])
def test_feature_matrices_are_required(matrices):
    with pytest.raises(UserError, match="initializer: nfm draws from the nfm of a source, but there is none"):
        initialize(nn.Sequential(nn.Conv2d(1, 1, 1)), "nfm", seed=0, matrices=matrices)


def test_filters_that_cannot_be_divided_among_the_groups_are_refused():
    matrices = {"nfm": {"0": FeatureMatrix(torch.ones(2, 1, 1), (1, 1, 1))}}
    with pytest.raises(UserError, match="source: 3 filters cannot be divided among the 2 groups of the source"):
        initialize(nn.Sequential(nn.Conv2d(1, 3, 1)), "nfm", seed=0, matrices=matrices)


def test_an_initializer_that_returns_a_tensor_is_refused(monkeypatch):
    declared = {"needs": None, "needs_position": False}
    mine = registry.Registered("initializer", "mine", lambda weight, generator: weight + 1, declared)
    monkeypatch.setitem(registry._REGISTERED, ("initializer", "mine"), mine)
    with pytest.raises(UserError, match="initializer mine: returned a tensor; it must fill the given weight in place"):
        initialize(nn.Sequential(nn.Conv2d(1, 2, 3)), "mine", seed=0)


def test_a_zero_feature_matrix_is_refused():
    zero = FeatureMatrix(torch.zeros(1, 2, 1), (1, 1, 1))
    with pytest.raises(UserError, match="the agop of layer 0 is zero"):
        initialize(nn.Sequential(nn.Conv2d(1, 1, 1)), "agop", seed=0, matrices={"agop": {"0": zero}})


def test_filters_of_another_kernel_size_are_drawn_where_that_is_chosen():
    source = nfm(nn.Sequential(nn.Conv2d(2, 3, 5)))["0"]
    network = nn.Sequential(nn.Conv2d(2, 4000, 3))
    with pytest.raises(UserError, match="layer 0 with patches 2x3x3 has no counterpart"):
        initialize(network, "nfm", seed=0, matrices={"nfm": {"0": source}})
    initialize(network, "nfm", seed=0, matrices={"nfm": {"0": source}}, resize="spatial")
    filters = network[0].weight.detach().flatten(1)  # (4000, patch)
    expected = resized(source, (2, 3, 3))
    expected = expected.scaled(1 / expected.trace()).dense()[0]
    assert (filters.mT @ filters / 4000 - expected).norm() < 0.1 * expected.norm()


def test_copied_filters_have_the_sources_channels():
    source = nfm(nn.Sequential(nn.Conv2d(2, 8, 3)))
    with pytest.raises(UserError, match="initializer: weights takes filters, which resize: channels cannot make"):
        initialize(nn.Sequential(nn.Conv2d(4, 8, 3)), "weights", seed=0, matrices={"nfm": source}, resize="channels")
