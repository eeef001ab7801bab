"""Pooling that repeats bit by bit on a GPU, and the memory of activations."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ansatz.errors import UserError
from ansatz.networks.evaluation import activation_bytes, check_logits, memory_format
from ansatz.networks.layers import AveragePool


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9))
def test_deterministic_pooling_computes_what_pytorchs_does(rows, columns, side):
    x = torch.randn(2, 3, rows, columns, dtype=torch.float64)
    plain = AveragePool((side, side))(x)
    torch.use_deterministic_algorithms(True)
    try:
        torch.testing.assert_close(AveragePool((side, side))(x), plain)
    finally:
        torch.use_deterministic_algorithms(False)


def test_activations_are_counted_per_image():
    """A convolution keeps its input, an in-place ReLU its output, pooling its input and int64 places."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    kept = 4 * (3 * 8 * 8 + 4 * 6 * 6 + 4 * 3 * 3) + 8 * 4 * 3 * 3
    assert activation_bytes(network.eval(), torch.zeros(1, 3, 8, 8)) == kept


class Mean(nn.Module):
    """The mean over images."""

    def forward(self, x):
        return x.mean(0, keepdim=True)


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 5)),
            "cannot take images of 3 x 8 x 8; change i",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 4, 9)),
            "cannot take images of 3 x 8 x 8; change image_size to at least 9 (Calculated padded inp",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten()),
            r"returns \(2, 4\) for two images of 3 x 8 x 8; it must",
        ),
        (nn.Conv2d(3, 5, 8), r"returns \(2, 5, 1, 1\) for two images of 3 x 8 x 8; it must return \(2, 5\)"),
        (nn.Sequential(nn.Conv2d(3, 4, 8), nn.InstanceNorm2d(4), nn.Flatten()), "Expected more than 1 spatial element"),
        (nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten(), Mean()), r"returns \(1, 5\) for two images"),
        (nn.Sequential(nn.LazyConv2d(5, 8), nn.Flatten()), "0.weight has no values yet; it must be float32"),
        (nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()).double(), "0.weight is torch.float64; it must be float32"),
        (nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()).requires_grad_(False), "no parameter has requires_grad"),
    ],
)
def test_a_network_without_a_logit_per_class_is_refused(network, line):
    with pytest.raises(UserError, match=line.replace("(C", r"\(C")):
        check_logits(network, 5, channels=3, size=8)


def test_a_network_with_a_logit_per_class_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 5, 8), nn.BatchNorm2d(5), nn.Flatten()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_logits(network, 5, channels=3, size=8)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("layer", "layout"),
    [
        (nn.Conv2d(16, 8, 1, stride=2), torch.channels_last),
        (nn.Conv2d(15, 8, 1, stride=2), torch.contiguous_format),
        (nn.Conv2d(32, 8, 1, stride=(1, 2), groups=4), torch.contiguous_format),
        (nn.Conv2d(15, 8, 1), torch.channels_last),
        (nn.Conv2d(15, 8, 3, stride=2), torch.channels_last),
        (nn.InstanceNorm2d(16), torch.contiguous_format),
    ],
)
def test_images_are_channels_last_where_pytorch_computes_that_right(layer, layout):
    assert memory_format(nn.Sequential(nn.Identity(), nn.Sequential(layer))) is layout
