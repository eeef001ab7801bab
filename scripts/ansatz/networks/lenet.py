"""LeNet-5 (LeCun et al. 1998)."""

from collections import OrderedDict
from functools import partial

from torch import nn

from ansatz.networks.layers import AveragePool, scaled
from ansatz.registry import network


@network
def lenet5(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling, for images of 32 x 32 pixels.

    The positions that images of another size have after the convolutions are averaged to those of 32 x 32 pixels.
    """
    wide = partial(scaled, width=width)
    features = nn.Sequential(
        nn.Conv2d(in_channels, wide(6), kernel_size=5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(wide(6), wide(16), kernel_size=5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )
    classifier = nn.Sequential(
        nn.Linear(wide(16) * 5 * 5, wide(120)),
        nn.ReLU(inplace=True),
        nn.Linear(wide(120), wide(84)),
        nn.ReLU(inplace=True),
        nn.Linear(wide(84), classes),
    )
    pool, flatten = AveragePool((5, 5)), nn.Flatten()  # 32 x 32 pixels are 5 x 5 here already, and stay as they are
    return nn.Sequential(OrderedDict(features=features, avgpool=pool, flatten=flatten, classifier=classifier))
