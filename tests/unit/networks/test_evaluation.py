"""Pooling that repeats bit by bit on a GPU, and the memory of activations."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ansatz.networks.evaluation import activation_bytes
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
