"""VGG (Simonyan and Zisserman 2014)."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from torch import nn

from ansatz.networks.layers import AveragePool, scaled
from ansatz.registry import network

# torchvision has these networks too, but without a width, and importing it would double the start-up time of trainings.
CHANNELS = (64, 128, 256, 512, 512)  # of the five stages


@network
def vgg11(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG11: eight convolutions of 3 x 3."""
    return vgg((1, 1, 2, 2, 2), classes, in_channels, width)


@network
def vgg13(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG13: ten convolutions of 3 x 3."""
    return vgg((2, 2, 2, 2, 2), classes, in_channels, width)


@network
def vgg16(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG16: 13 convolutions of 3 x 3."""
    return vgg((2, 2, 3, 3, 3), classes, in_channels, width)


@network
def vgg19(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG19: 16 convolutions of 3 x 3."""
    return vgg((2, 2, 4, 4, 4), classes, in_channels, width)


@network
def vgg11_mnist(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build the VGG11 that the study's group trained on MNIST: the first convolution is 7 x 7, without bias."""
    return vgg((1, 1, 2, 2, 2), classes, in_channels, width, wide_first=True)


def vgg(
    stages: Sequence[int], classes: int, in_channels: int = 3, width: float = 1.0, *, wide_first: bool = False
) -> nn.Module:
    """Build torchvision's VGG, with the width of every hidden layer scaled.

    Parameters
    ----------
    stages : sequence of int
        Number of convolutions in each of the five stages.
    classes : int
    in_channels : int
    width : float
        Factor of every hidden layer's width; at 1, parameters are those of torchvision's network.
    wide_first : bool
        Whether the first convolution is 7 x 7, without bias.

    Returns
    -------
    nn.Module
        For images of at least 32 x 32 pixels.
    """
    wide = partial(scaled, width=width)
    features, channels = nn.Sequential(), in_channels
    for convolutions, out_channels in zip(stages, map(wide, CHANNELS), strict=True):
        for _ in range(convolutions):
            features.extend([nn.Conv2d(channels, out_channels, kernel_size=3, padding=1), nn.ReLU(inplace=True)])
            channels = out_channels
        features.append(nn.MaxPool2d(kernel_size=2, stride=2))
    if wide_first:
        features[0] = nn.Conv2d(in_channels, wide(64), kernel_size=7, padding=3, bias=False)
    hidden = wide(4096)
    classifier = nn.Sequential(
        nn.Linear(channels * 7 * 7, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(hidden, classes),
    )
    pool, flatten = AveragePool((7, 7)), nn.Flatten()
    return nn.Sequential(OrderedDict(features=features, avgpool=pool, flatten=flatten, classifier=classifier))
