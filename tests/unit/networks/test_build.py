"""Networks by name, against torchvision's and against what is published."""

import pytest
import torch
from torch import nn
from torchvision import models

import ansatz.networks.build as networks
from ansatz import registry
from ansatz.errors import UserError
from ansatz.networks.build import build, layer_names
from ansatz.networks.layers import conv_layers


@pytest.mark.parametrize(
    "name", [name for name in models.list_models(models) if name in registry.definitions("network")]
)
def test_a_network_of_torchvisions_name_has_its_parameters_at_width_one(name):
    with torch.device("meta"):
        ours = registry.find("network", name).object(10)
        theirs = models.get_model(name, num_classes=10)
    shapes = [{key: value.shape for key, value in network.state_dict().items()} for network in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_vgg11_computes_what_torchvisions_computes():
    theirs = models.vgg11(num_classes=5, init_weights=False).eval()
    with torch.device("meta"):
        ours = registry.find("network", "vgg11").object(5).eval()
    ours.load_state_dict(theirs.state_dict(), assign=True)
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
    with pytest.raises(UserError, match="8 pooled convolutions are too many for 32 px images; use at most 7"):
        build("cnn", 10, seed=0, depth=8, pooling="max")
    assert build("cnn", 10, seed=0, depth=7, pooling="max")(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize(
    ("returned", "line"),
    [(3, "network mine: returned int; it must"), (nn.Linear(1, 2), "network mine: has no convolution; at least one")],
)
def test_what_is_no_convolutional_network_is_refused(monkeypatch, returned, line):
    monkeypatch.setattr(networks, "definitions", lambda kind: {"mine": None})
    monkeypatch.setattr(networks, "find", lambda *_: registry.Registered("network", "mine", lambda *_, **__: returned))
    with pytest.raises(UserError, match=line):
        build("mine", 2, seed=0)


def test_a_seed_is_a_network():
    a, b, c = (build("vgg11", 2, seed=seed, width=0.05).classifier[0].weight for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_building_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    build("vgg11", 2, seed=0, width=0.05)
    assert torch.equal(torch.get_rng_state(), state)


def test_networks_of_torchvision_are_built_by_name():
    assert len(conv_layers(build("resnet18", 4, seed=0))) == 20


@pytest.mark.parametrize("name", ["vgg19", "resnet18", "densenet121"])
def test_layers_are_named_without_drawing_or_allocating(name, monkeypatch):
    expected = list(conv_layers(build(name, 2, seed=0)))
    tensors = {}

    def recorded(network):
        tensors.update(network.state_dict())
        return conv_layers(network)

    monkeypatch.setattr("ansatz.networks.build.conv_layers", recorded)
    state = torch.get_rng_state()
    assert layer_names(name) == expected
    assert torch.equal(torch.get_rng_state(), state)
    assert tensors
    assert all(tensor.is_meta for tensor in tensors.values())


def test_layers_depend_on_the_options():
    assert layer_names("cnn", depth=2, in_channels=1, width=0.1) == ["features.0", "features.2"]
    assert layer_names("cnn", depth=3) == ["features.0", "features.2", "features.5"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {"name": "vgg12"},
            "'vgg12' is none of .*vgg11, .*, nor a network of torchvision; did you mean 'vgg1.'",
        ),
        ({"name": "resnet81"}, "did you mean 'resnet18'?"),
        ({"name": "resnet18", "width": 0.5}, "resnet18 takes in_channels: 3 and width: 1 only"),
        ({"name": "resnet18", "depth": 3}, "resnet18 has no option depth"),
    ],
)
def test_unknown_networks_are_refused(arguments, expected):
    with pytest.raises(UserError, match=expected):
        build(**arguments, classes=2, seed=0)


def test_one_class_is_refused():
    with pytest.raises(UserError, match="network: all images belong to one class; at least two are required"):
        build("vgg11", 1, seed=0)
