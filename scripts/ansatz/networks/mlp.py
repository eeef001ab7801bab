"""Fully connected networks."""

from collections import OrderedDict
from typing import Annotated

from annotated_types import Interval
from torch import nn

from ansatz.networks.layers import scaled
from ansatz.registry import network


@network
def mlp(
    classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    depth: Annotated[int, Interval(ge=1, le=40)] = 3,
    bias: bool = True,
    image_size: int = 32,
) -> nn.Module:
    """Build a fully connected ReLU network, for which Radhakrishnan et al. (2024) first stated the ansatz.

    Parameters
    ----------
    classes, in_channels : int
    width : float
        Factor of the 1024 units of each hidden layer.
    depth : int
        Number of hidden layers.
    bias : bool
        Whether layers have biases.
    image_size : int
        Side of the images, in pixels.
    """
    hidden, inputs, units = nn.Sequential(), in_channels * image_size**2, scaled(1024, width)
    for _ in range(depth):
        hidden.extend([nn.Linear(inputs, units, bias=bias), nn.ReLU(inplace=True)])
        inputs = units
    classifier = nn.Linear(inputs, classes, bias=bias)
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), hidden=hidden, classifier=classifier))
