"""Networks and their weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from ansatz.errors import UserError
from ansatz.networks import (
    NETWORKS,
    AveragePool,
    activation_bytes,
    build,
    conv_layers,
    load_weights,
    published_weights,
    save_weights,
)


@pytest.mark.parametrize("name", NETWORKS)
def test_at_width_one_a_vgg_is_torchvisions(name):
    with torch.device("meta"):
        ours, theirs = NETWORKS[name](10), models.get_model(name, num_classes=10)
    shapes = [{key: value.shape for key, value in network.state_dict().items()} for network in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_vgg11_computes_what_torchvisions_computes():
    theirs = models.vgg11(num_classes=5, init_weights=False).eval()
    ours = build("vgg11", 5, seed=0).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 3, 40, 40)
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize(("width", "first", "last"), [(0.125, 8, 64), (0.5, 32, 256), (0.001, 1, 1)])
def test_width_scales_the_hidden_layers_alone(width, first, last):
    network = build("vgg11", 7, seed=0, width=width, in_channels=1)
    convolutions = list(conv_layers(network).values())
    assert (convolutions[0].in_channels, convolutions[0].out_channels, convolutions[-1].out_channels) == (
        1,
        first,
        last,
    )
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 7)


def test_a_seed_is_a_network():
    a, b, c = (build("vgg11", 2, seed=seed, width=0.05).classifier[0].weight for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_building_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    build("vgg11", 2, seed=0, width=0.05)
    assert torch.equal(torch.get_rng_state(), state)


def test_torchvisions_networks_are_known_by_name():
    assert len(conv_layers(build("resnet18", 4, seed=0))) == 20


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"name": "vgg12"}, "'vgg12' is none of vgg11, vgg13, vgg16, vgg19, nor a network of torchvision"),
        ({"name": "resnet18", "width": 0.5}, "resnet18 takes in_channels: 3 and width: 1 only"),
    ],
)
def test_unknown_networks_are_refused(arguments, expected):
    with pytest.raises(UserError, match=expected):
        build(**arguments, classes=2, seed=0)


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_weights_on_file_and_back(tmp_path, ending):
    network, other = (build("vgg11", 2, seed=seed, width=0.05) for seed in (0, 1))
    path = tmp_path / f"weights.{ending}"
    save_weights(network, path) if ending == "pt" else save_file(network.state_dict(), path)
    load_weights(other, path)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_weights_of_a_data_parallel_network_are_the_networks(tmp_path):
    network, other = (build("vgg11", 2, seed=seed, width=0.05) for seed in (0, 1))
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, tmp_path / "weights.pt")
    load_weights(other, tmp_path / "weights.pt")
    assert torch.equal(other.features[0].weight, network.features[0].weight)


def test_mismatching_shapes_are_named_layer_by_layer(tmp_path):
    torch.save({**build("vgg11", 3, seed=0, width=0.05).state_dict(), "extra": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(UserError) as caught:
        load_weights(build("vgg11", 2, seed=0, width=0.05), tmp_path / "other.pt")
    assert "classifier.6.weight is 3x205, the network's 2x205; classifier.6.bias is 3, the network's 2" in str(
        caught.value
    )
    assert "extra is 2, the network's missing" in str(caught.value)
    assert "\n" not in str(caught.value)


class Malicious:
    def __reduce__(self):
        return print, ("opened",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (Malicious(), "not a state dict that opens with weights_only"),
        ([1, 2], "holds no state dict"),
        ({"epoch": 3}, "holds no state dict"),
        (b"no checkpoint at all", "not a"),
        (None, "not there"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, capsys, content, expected):
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=expected):
        load_weights(build("vgg11", 2, seed=0, width=0.05), path)
    assert "opened" not in capsys.readouterr().out


def test_torchvisions_weights_are_known_by_name():
    archive = published_weights("VGG11_Weights.IMAGENET1K_V1")
    assert (archive.file, archive.sha256) == ("vgg11-8a719046.pth", "8a719046")
    with pytest.raises(UserError, match=r"torchvision has no 'VGG11_Weights\.V9'"):
        published_weights("VGG11_Weights.V9")


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9))
def test_pooling_that_repeats_on_a_gpu_is_pytorchs(rows, columns, side):
    x = torch.randn(2, 3, rows, columns, dtype=torch.float64)
    plain = AveragePool((side, side))(x)
    torch.use_deterministic_algorithms(True)
    try:
        torch.testing.assert_close(AveragePool((side, side))(x), plain)
    finally:
        torch.use_deterministic_algorithms(False)


def test_activations_are_counted_an_image():
    """A convolution keeps its input, an in-place ReLU its output, pooling its input and int64 places."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    kept = 4 * (3 * 8 * 8 + 4 * 6 * 6 + 4 * 3 * 3) + 8 * 4 * 3 * 3
    assert activation_bytes(network.eval(), torch.zeros(1, 3, 8, 8)) == kept
