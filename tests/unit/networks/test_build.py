"""Networks by name, against torchvision's and against what is published."""

import sys

import pytest
import torch
from torch import nn
from torchvision import models

import ansatz.networks.build as networks
from ansatz import registry
from ansatz.errors import UserError
from ansatz.networks.build import build, layer_names, smallest_image
from ansatz.networks.layers import conv_layers
from ansatz.networks.maps import studied_maps


@pytest.mark.parametrize(
    "name", [name for name in models.list_models(models) if name in registry.definitions("network")]
)
def test_a_network_of_torchvisions_name_has_its_parameters_at_width_one(name):
    with torch.device("meta"):
        ours = registry.find("network", name).object(10)
        theirs = models.get_model(name, num_classes=10)
    shapes = [{key: value.shape for key, value in network.state_dict().items()} for network in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vgg11", {"init_weights": False}),
        ("vgg11_bn", {"init_weights": False}),
        ("resnet18", {}),
        ("resnet50", {}),
        ("convnext_tiny", {}),
    ],
)
def test_a_network_computes_what_torchvisions_computes(name, options):
    theirs = models.get_model(name, num_classes=5, **options).eval()
    with torch.device("meta"):
        ours = registry.find("network", name).object(5).eval()
    state = theirs.state_dict()
    for key, value in state.items():
        if key.endswith("layer_scale") or (value.dim() == 1 and value.is_floating_point()):
            value.uniform_(0.5, 1.5)  # or else norms, biases and scaled branches would not be seen
    ours.load_state_dict(state, assign=True)
    x = torch.randn(2, 3, 40, 40)
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


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_a_resnet_of_small_images_is_torchvisions_with_another_stem(name):
    ours = build(name, 5, seed=0, stem="small").eval()
    theirs = models.get_model(name, num_classes=5).eval()
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))


def test_the_small_resnet_is_the_one_with_the_small_stem():
    ours, other = build("resnet18_small", 5, seed=0), build("resnet18", 5, seed=0, stem="small")
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in ours.state_dict().items())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_branches_that_start_at_zero_are_torchvisions(name):
    ours = build(name, 5, seed=0, zero_init_residual=True)
    theirs = models.get_model(name, num_classes=5, zero_init_residual=True)
    zero = [
        {key for key, value in network.state_dict().items() if key.endswith("weight") and not value.any()}
        for network in (ours, theirs)
    ]
    assert zero[0] == zero[1]
    assert len(zero[0]) == {"resnet18": 8, "resnet50": 16}[name]


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_small_vgg_has_torchvisions_convolutions_and_one_linear_layer(depth, batch_norm):
    with torch.device("meta"):
        ours = registry.find("network", f"vgg{depth}_small").object(10, batch_norm=batch_norm)
        theirs = models.get_model(f"vgg{depth}_bn" if batch_norm else f"vgg{depth}")
    shapes = [{key: value.shape for key, value in network.features.state_dict().items()} for network in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert [tuple(parameter.shape) for parameter in ours.classifier.parameters()] == [(10, 512), (10,)]


def test_convmixer_computes_what_its_authors_code_computes():
    class Residual(nn.Module):
        def __init__(self, branch):
            super().__init__()
            self.branch = branch

        def forward(self, x):
            return self.branch(x) + x

    def theirs_of(dim, depth, kernel_size, patch_size, classes):
        def activation():
            return nn.GELU(), nn.BatchNorm2d(dim)

        mixers = [
            nn.Sequential(
                Residual(nn.Sequential(nn.Conv2d(dim, dim, kernel_size, groups=dim, padding="same"), *activation())),
                nn.Conv2d(dim, dim, 1),
                *activation(),
            )
            for _ in range(depth)
        ]
        first = nn.Conv2d(3, dim, patch_size, stride=patch_size), *activation()
        return nn.Sequential(*first, *mixers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(dim, classes))

    ours, theirs = build("convmixer", 5, seed=0, blocks=3).eval(), theirs_of(256, 3, 5, 2, 5).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x))


def test_convmixer_of_cifar10_has_its_authors_number_of_parameters():
    """ConvMixer-256/8 with kernels of 5 and patches of 2."""
    assert sum(parameter.numel() for parameter in build("convmixer", 10, seed=0).parameters()) == 594186


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
    ("options", "side"),
    [
        ({"name": "vgg11"}, 32),
        ({"name": "vgg19_bn"}, 32),
        ({"name": "vgg19_small"}, 16),
        ({"name": "convnext_tiny"}, 32),
        ({"name": "convnext_tiny", "stem": "small"}, 16),
        ({"name": "simplenet"}, 16),
        ({"name": "lenet5"}, 16),
        ({"name": "resnet50"}, 8),
        ({"name": "convmixer", "stride": 16, "in_channels": 1}, 16),
        ({"name": "cnn", "image_size": 28}, 28),
        ({"name": "densenet121"}, 29),
    ],
)
def test_the_smallest_images_that_a_network_takes(options, side):
    assert smallest_image(**options) == side
    network, channels = build(**options, classes=2, seed=0).eval(), options.get("in_channels", 3)
    assert network(torch.zeros(1, channels, side, side)).shape == (1, 2)
    if side > 8:
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, channels, side - 1, side - 1))


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
    [
        (3, "network mine: returned int; it must"),
        (nn.Linear(1, 2), "network mine: has no layer to study; at least one"),
    ],
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
    assert len(conv_layers(build("squeezenet1_1", 4, seed=0))) == 26


@pytest.mark.parametrize("name", ["vgg19", "resnet18_small", "densenet121"])
def test_layers_are_named_without_drawing_or_allocating(name, monkeypatch):
    expected = list(conv_layers(build(name, 2, seed=0)))
    tensors = {}

    def recorded(network):
        tensors.update(network.state_dict())
        return studied_maps(network)

    monkeypatch.setattr("ansatz.networks.build.studied_maps", recorded)
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
        ({"name": "densenet121", "width": 0.5}, "densenet121 takes width: 1 only"),
        ({"name": "densenet121", "in_channels": 1}, "densenet121 takes in_channels: 3 only"),
        ({"name": "timm/resnet50x"}, "timm has no 'resnet50x'; did you mean 'resnet50"),
        ({"name": "timm/resnet10t", "width": 0.5}, "timm/resnet10t takes width: 1 only"),
        ({"name": "densenet121", "depth": 3}, "densenet121 has no option depth"),
    ],
)
def test_unknown_networks_are_refused(arguments, expected):
    with pytest.raises(UserError, match=expected):
        build(**arguments, classes=2, seed=0)


@pytest.mark.parametrize("name", ["timm/resnet10t", "timm/resnet10t.c3_in1k"])
def test_a_network_of_timm_is_built_by_its_name(name):
    pytest.importorskip("timm")
    network = build(name, 3, seed=0, in_channels=1).eval()
    again, other = (build("timm/resnet10t", 3, seed=seed, in_channels=1).state_dict() for seed in (0, 1))
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 3)
    assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items())
    assert not torch.equal(network.fc.weight, other["fc.weight"])


def test_without_timm_its_networks_are_refused_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match="timm/resnet10t takes timm, which is not installed: pip install timm"):
        build("timm/resnet10t", 3, seed=0)


def test_one_class_is_refused():
    with pytest.raises(UserError, match="network: all images belong to one class; at least two are required"):
        build("vgg11", 1, seed=0)
