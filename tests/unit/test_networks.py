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
    VGG_STAGES,
    AveragePool,
    activation_bytes,
    build,
    conv_layers,
    load_weights,
    published_weights,
    save_weights,
)


@pytest.mark.parametrize("name", VGG_STAGES)
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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_small_images_at_any_width(name, channels):
    network = build(name, 7, seed=0, width=0.1, in_channels=channels).eval()
    assert network(torch.zeros(2, channels, 32, 32)).shape == (2, 7)


def test_at_width_one_the_small_resnet_is_torchvisions_but_for_its_stem():
    ours = build("resnet18_small", 10, seed=0)
    theirs = models.resnet18(num_classes=10)
    sizes = [sorted(p.numel() for p in network.parameters()) for network in (ours, theirs)]
    sizes[1][sizes[1].index(64 * 3 * 7 * 7)] = 64 * 3 * 3 * 3
    assert sizes[0] == sorted(sizes[1])
    assert ours.features[0](torch.zeros(1, 3, 32, 32)).shape[2:] == (32, 32)
    assert ours.features(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 4, 4)


def test_the_small_resnet_computes_what_torchvisions_computes_after_the_stem():
    theirs = models.resnet18(num_classes=5).eval()
    ours = build("resnet18_small", 5, seed=0).eval()
    blocks = [*ours.features[3:]]
    for mine, block in zip(blocks, [b for stage in range(1, 5) for b in getattr(theirs, f"layer{stage}")], strict=True):
        named = {key.replace("downsample", "shortcut"): value for key, value in block.state_dict().items()}
        mine.load_state_dict(named)
    ours.classifier.load_state_dict(theirs.fc.state_dict())
    x = torch.randn(2, 64, 8, 8)
    with torch.inference_mode():
        expected = theirs.fc(theirs.avgpool(theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(x))))).flatten(1))
        torch.testing.assert_close(ours[1:](ours.features[3:](x)), expected)


def test_lenet5_has_the_published_sizes():
    network = build("lenet5", 10, seed=0, in_channels=1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 156 + 2416 + 48120 + 10164 + 850


def test_simplenet_has_13_convolutions_and_its_authors_five_million_parameters():
    network = build("simplenet", 10, seed=0)
    assert len(conv_layers(network)) == 13
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(5.48e6, rel=0.01)


def test_vgg11_for_mnist_begins_with_a_wide_convolution_without_bias():
    first = build("vgg11_mnist", 10, seed=0, in_channels=1).features[0]
    assert (first.kernel_size, first.padding, first.bias) == ((7, 7), (3, 3), None)


@pytest.mark.parametrize(
    ("options", "layers", "inputs"),
    [
        ({}, [0, 2, 5, 8], 64 * 32 * 32),
        ({"pooling": "max", "depth": 2, "patch_size": 5}, [0, 2], 64),
        ({"pooling": "average", "depth": 7}, [0, 2, 5, 8, 11, 14, 17], 64),
        ({"image_size": 40, "depth": 1}, [0], 64 * 40 * 40),
    ],
)
def test_the_plain_network_varies(options, layers, inputs):
    network = build("cnn", 10, seed=0, **options)
    assert list(conv_layers(network)) == [f"features.{number}" for number in layers]
    assert network.classifier.in_features == inputs
    assert all(conv.kernel_size[0] == options.get("patch_size", 3) for conv in conv_layers(network).values())
    side = options.get("image_size", 32)
    assert network(torch.zeros(1, 3, side, side)).shape == (1, 10)


def test_a_plain_network_that_pools_everything_away_is_refused():
    with pytest.raises(UserError, match=r"network\.depth: 8 convolutions pool 32 px away; it takes 7 at most"):
        build("cnn", 10, seed=0, depth=8, pooling="max")


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
        (
            {"name": "vgg12"},
            "'vgg12' is none of vgg11, vgg13, vgg16, vgg19, vgg11_mnist, lenet5, .*nor a network of torchvision",
        ),
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
