"""Every initializer's distribution, and what all of them share."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ansatz.batches import Images, on_device
from ansatz.errors import UserError
from ansatz.feature_matrices import FeatureMatrix
from ansatz.initializers import COVARIANCE_SCALINGS, INITIALIZERS, initialize
from ansatz.networks import build, conv_layers
from ansatz.store import Dataset, Part
from ansatz.training import Protocol, train

FAN_IN = 18


def matrix(groups=1, rank=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return FeatureMatrix(torch.randn(groups, rank, FAN_IN, generator=generator), (2, 3, 3))


def drawn(name, filters=40_000, groups=1, scaling="trace", given=None):
    network = nn.Sequential(nn.Conv2d(2 * groups, filters * groups, 3, groups=groups))
    matrices = {kind: {"0": given or matrix(groups)} for kind in ("nfm", "agop")}
    initialize(network, name, seed=0, matrices=matrices, scaling=scaling)
    assert not network[0].bias.any()
    return network[0].weight.detach().reshape(groups, filters, FAN_IN)


def assert_covariance(weights, expected):
    """Compare second moments; an entry's standard error is at most √((M_ii M_jj + M_ij²) / n)."""
    n = weights.shape[1]
    found = weights.mT @ weights / n
    diagonal = expected.diagonal(dim1=1, dim2=2)
    error = ((diagonal[:, :, None] * diagonal[:, None, :] + expected**2) / n).sqrt()
    assert ((found - expected).abs() / (error + 1e-12)).max() < 5


VARIANCES = {
    "normal": 0.05**2,
    "uniform": 0.05**2 / 12,
    "xavier_normal": 2 * 2 / (FAN_IN + 9 * 40_000),
    "xavier_uniform": 2 * 2 / (FAN_IN + 9 * 40_000),
    "kaiming_normal": 2 / FAN_IN,
    "kaiming_uniform": 2 / FAN_IN,
}


@pytest.mark.parametrize("name", VARIANCES)
def test_filters_are_independent_with_the_stated_variance(name):
    assert_covariance(drawn(name), VARIANCES[name] * torch.eye(FAN_IN)[None])


@pytest.mark.parametrize(
    ("name", "kurtosis"), [("normal", 3.0), ("uniform", 1.8), ("kaiming_normal", 3.0), ("agop", 3.0)]
)
def test_the_shape_of_the_distribution(name, kurtosis):
    weights = drawn(name)[0].double()
    standard = weights / weights.std(0)
    assert standard.pow(4).mean(0).mean() == pytest.approx(kurtosis, rel=0.03)


def test_orthogonal_filters_are_orthogonal():
    weights = drawn("orthogonal", filters=8)[0]
    torch.testing.assert_close(weights @ weights.T, 2 * torch.eye(8), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(("name", "trace"), [("nfm", 1), ("agop", 1), ("kaiming_nfm", 2), ("kaiming_agop", 2)])
def test_filters_have_the_feature_matrix_as_covariance(name, trace, groups):
    dense = matrix(groups).dense()
    expected = trace * dense / dense.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    assert_covariance(drawn(name, groups=groups), expected)


def test_kaiming_scaled_filters_have_the_size_of_kaiming_normals():
    sizes = [drawn(name).square().sum(2).mean().item() for name in ("kaiming_nfm", "kaiming_normal")]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


@pytest.mark.parametrize("name", ["nfm", "agop", "kaiming_nfm", "kaiming_agop"])
def test_the_released_scaling(name):
    """As the study's code: AGOP by its root; plain ones to trace 1; kaiming_* unnormalised, AGOP / 100."""
    dense = matrix().dense().double()
    values, vectors = torch.linalg.eigh(dense)
    if "agop" in name:
        dense = vectors @ torch.diag_embed(values.clamp_min(0).sqrt()) @ vectors.mT
    if name.startswith("kaiming_"):
        dense = dense * math.sqrt(2) / math.sqrt(FAN_IN) / (100 if "agop" in name else 1)
    else:
        dense = dense / dense.diagonal(dim1=1, dim2=2).sum()
    assert_covariance(drawn(name, scaling="released"), dense.float())


def test_scalings_are_the_ones_of_the_configuration():
    assert set(COVARIANCE_SCALINGS) == {"trace", "released"}


def network_for(name, seed=3):
    network = build("vgg11", 10, seed=seed, width=0.03125)
    matrices = {
        layer: FeatureMatrix(conv.weight.detach().flatten(1)[None], tuple(conv.weight.shape[1:]))
        for layer, conv in conv_layers(network).items()
    }
    initialize(network, name, seed=seed, matrices={"nfm": matrices, "agop": matrices})
    return network


def test_one_seed_gives_every_initializer_the_same_classifier():
    networks = {name: network_for(name) for name in INITIALIZERS}
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
        train(network, {"train": images}, Protocol(epochs=2, batch_size=8), seed=3)
    assert orders["normal"] == orders["kaiming_nfm"] == orders["orthogonal"]
    assert states["normal"] == states["kaiming_nfm"] == states["orthogonal"]
    assert orders["normal"][0] != orders["normal"][1], "each epoch has its own order"
    assert len({str(state) for state in states["normal"]}) == 2 * 3 * 2, "each step and layer has its own mask"


def test_normal_takes_other_deviations_and_one_of_its_own_for_the_first_layer():
    network = nn.Sequential(nn.Conv2d(3, 400, 5), nn.Conv2d(400, 300, 3))
    initialize(network, "normal", seed=0, std=0.01, first_std=0.2)
    assert network[0].weight.std().item() == pytest.approx(0.2, rel=0.02)
    assert network[1].weight.std().item() == pytest.approx(0.01, rel=0.02)
    initialize(network, "normal", seed=0, std=0.01)
    assert network[0].weight.std().item() == pytest.approx(0.01, rel=0.02)


def test_without_an_initializer_all_stays_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    before = [parameter.clone() for parameter in network.parameters()]
    initialize(network, None, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_another_seed_draws_other_filters():
    assert not torch.equal(network_for("normal", 1).features[0].weight, network_for("normal", 2).features[0].weight)


def test_feature_matrices_are_asked_for():
    with pytest.raises(UserError, match="nfm got no nfm: is it among"):
        initialize(nn.Sequential(nn.Conv2d(1, 1, 1)), "nfm", seed=0)


def test_a_zero_feature_matrix_is_refused():
    zero = FeatureMatrix(torch.zeros(1, 2, 1), (1, 1, 1))
    with pytest.raises(UserError, match="the agop of layer 0 is zero"):
        initialize(nn.Sequential(nn.Conv2d(1, 1, 1)), "agop", seed=0, matrices={"agop": {"0": zero}})
