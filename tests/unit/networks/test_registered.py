"""Every registered network passes the checks, and the checks fail for wrong networks."""

import pytest

import network_checks as checks
from ansatz import registry
from registered import edge_cases

MINE = '''
from typing import Literal
import torch
from torch import nn
from ansatz.networks.layers import scaled
from ansatz.registry import network

GENERATOR = torch.Generator()

class Detach(nn.Module):
    def forward(self, x):
        return x.detach()

class FirstChannel(nn.Module):
    def forward(self, x):
        return x[:, :1].expand_as(x)

@network
def mine(classes, in_channels=3, width=1.0, *, side: Literal[1, 3] = 3):
    """Build a network of one's own."""
    channels = scaled(64, width)
    first, second = nn.Conv2d(in_channels, channels, side), nn.Conv2d(channels, channels, 3)
    layers = [first, nn.Tanh(), second, nn.Tanh()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers)
'''

# check, what is replaced in the text, by what, what the check says
WRONG = [
    (checks.builds_on_the_meta_device, "(*layers)", "(*layers).to_empty(device='cpu')", "are allocated"),
    (checks.builds_on_the_meta_device, "nn.Conv2d(", "nn.ConvTranspose2d(", "has no layer to study"),
    (
        checks.builds_on_the_meta_device,
        "return nn",
        "layers += [nn.Conv2d(1, 1, 1)] * (width < 1)\n    return nn",
        "the layers depend on",
    ),
    (
        checks.maps_images_to_logits,
        "nn.Flatten(), nn.Linear(channels, classes)",
        "nn.Conv2d(channels, classes, 1)",
        r"not \(n, classes\)",
    ),
    (checks.maps_images_to_logits, "channels, classes)", "channels, classes + 1)", r"logits are \(2, 6\)"),
    (checks.maps_images_to_logits, "first, nn.Tanh()", "FirstChannel(), first", "logits ignore a channel"),
    (checks.maps_images_to_logits, "nn.Flatten()", "nn.Flatten(), nn.Softmax(0)", "depend on the other images"),
    (checks.maps_images_to_logits, "nn.Flatten()", "nn.Flatten(), nn.Threshold(9, torch.inf)", "not finite"),
    (checks.every_layer_has_feature_matrices, "first, nn.Tanh()", "first, Detach()", "no gradient reaches 0"),
    (
        checks.every_layer_has_feature_matrices,
        "return nn",
        "first.aside = nn.Conv2d(1, 1, 1)\n    return nn",
        "no gradient",
    ),
    (checks.every_layer_has_feature_matrices, "nn.Flatten()", "nn.Flatten(), nn.Threshold(9, 1)", "is zero"),
    (checks.is_drawn_from_the_seed, "    layers =", "    nn.init.ones_(first.weight)\n    layers =", "another seed"),
    (
        checks.is_drawn_from_the_seed,
        "    layers =",
        "    nn.init.normal_(first.weight, generator=GENERATOR)\n    layers =",
        "one seed gives different",
    ),
    (checks.honours_its_width, "scaled(64, width)", "16", "0 does not grow"),
]


@pytest.mark.parametrize("check", checks.CHECKS)
@pytest.mark.parametrize("name", registry.definitions("network"))
def test_every_network_is_right(name, check):
    check(name)


@pytest.mark.parametrize(("name", "option", "value"), edge_cases("network"))
def test_every_option_works_at_the_edges_of_its_range(name, option, value):
    checks.builds_on_the_meta_device(name, **{option: value})
    if (option, value) != ("zero_init_residual", True):  # a network of mere shortcuts, with no gradient in its branches
        checks.maps_images_to_logits(name, **{option: value})
        checks.every_layer_has_feature_matrices(name, **{option: value})


def test_a_network_of_ones_own_is_right(plugin):
    plugin(MINE)
    for check in checks.CHECKS:
        check("mine")
        check("mine", side=1)


@pytest.mark.parametrize(("check", "old", "new", "message"), WRONG)
def test_a_wrong_network_fails(plugin, check, old, new, message):
    assert old in MINE
    plugin(MINE.replace(old, new))
    with pytest.raises(AssertionError, match=message):
        check("mine")


def test_an_option_that_fails_at_an_edge_is_found(plugin):
    plugin(MINE.replace("Literal[1, 3]", "Literal[1, 64]"))
    values = [case.values for case in edge_cases("network") if case.values[0] == "mine"]
    assert values == [("mine", "side", 1), ("mine", "side", 64)]
    checks.maps_images_to_logits("mine", side=1)
    with pytest.raises(RuntimeError, match="Kernel size"):
        checks.maps_images_to_logits("mine", side=64)
