"""Small networks and feature matrices for tests: for hypothesis with convolutions of any geometry, in float64."""

import torch
from hypothesis import strategies as st
from torch import nn

from ansatz.features.matrix import FeatureMatrix


@st.composite
def convolutions(draw, in_channels, side):
    groups = draw(st.sampled_from([g for g in (1, 2, in_channels) if in_channels % g == 0]))
    kernel = draw(st.tuples(*[st.integers(1, 3)] * 2))
    dilation = draw(st.integers(1, 2))
    padding = draw(st.integers(0, 2))
    if max(dilation * (k - 1) + 1 for k in kernel) > side + 2 * padding:
        kernel = (1, 1)
    return nn.Conv2d(
        in_channels,
        groups * draw(st.integers(1, 3)),
        kernel,
        stride=draw(st.integers(1, 2)),
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )


@st.composite
def networks(draw):
    channels, side, classes = draw(st.sampled_from([1, 2, 4])), draw(st.integers(4, 7)), draw(st.integers(1, 4))
    torch.manual_seed(draw(st.integers(0, 1000)))
    first = draw(convolutions(channels, side))
    x = torch.randn(draw(st.integers(1, 3)), channels, side, side, dtype=torch.float64)
    middle = first.double()(x)
    second = draw(convolutions(middle.shape[1], min(middle.shape[2:])))
    activation = draw(st.sampled_from([nn.ReLU(inplace=True), nn.Tanh()]))
    head = nn.Linear(second.double()(middle)[0].numel(), classes)
    return nn.Sequential(first, activation, second, nn.ReLU(inplace=True), nn.Flatten(), head).double(), x


def small_network(classes=5):
    """Return a network of two convolutions, named 0 and 2, and six images."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, classes)]
    return nn.Sequential(*layers).double(), torch.randn(6, 3, 8, 8, dtype=torch.float64)


sizes_of_matrices = st.tuples(
    st.integers(1, 3), st.integers(1, 4), st.integers(2, 6), st.integers(0, 10**6)
)  # groups, rank, patch, seed


def drawn_matrix(groups, rank, patch, seed):
    generator = torch.Generator().manual_seed(seed)
    return FeatureMatrix(torch.randn(groups, rank, patch, generator=generator, dtype=torch.float64), (patch, 1, 1))
