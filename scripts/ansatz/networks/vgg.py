"""VGG (Simonyan and Zisserman 2014)."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import nn

from ansatz.networks.layers import AveragePool, scaled
from ansatz.registry import network

# torchvision has these networks too, but without a width, and importing it would double the start-up time of trainings.
CHANNELS = (64, 128, 256, 512, 512)  # of the five stages
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # convolutions in each


@network
def vgg11(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG11: eight convolutions of 3 x 3."""
    return vgg(11, classes, in_channels, width)


@network
def vgg13(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG13: ten convolutions of 3 x 3."""
    return vgg(13, classes, in_channels, width)


@network
def vgg16(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG16: 13 convolutions of 3 x 3."""
    return vgg(16, classes, in_channels, width)


@network
def vgg19(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG19: 16 convolutions of 3 x 3."""
    return vgg(19, classes, in_channels, width)


@network
def vgg11_bn(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG11 with batch norm after each convolution."""
    return vgg(11, classes, in_channels, width, batch_norm=True)


@network
def vgg13_bn(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG13 with batch norm after each convolution."""
    return vgg(13, classes, in_channels, width, batch_norm=True)


@network
def vgg16_bn(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG16 with batch norm after each convolution."""
    return vgg(16, classes, in_channels, width, batch_norm=True)


@network
def vgg19_bn(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build VGG19 with batch norm after each convolution."""
    return vgg(19, classes, in_channels, width, batch_norm=True)


@network
def vgg11_small(classes: int, in_channels: int = 3, width: float = 1.0, *, batch_norm: bool = False) -> nn.Module:
    """Build VGG11 for small images: the mean over all positions and one linear layer follow the last convolution.

    Parameters
    ----------
    batch_norm : bool
        Whether batch norm follows each convolution.
    """
    return vgg(11, classes, in_channels, width, batch_norm=batch_norm, small=True)


@network
def vgg13_small(classes: int, in_channels: int = 3, width: float = 1.0, *, batch_norm: bool = False) -> nn.Module:
    """Build VGG13 for small images: the mean over all positions and one linear layer follow the last convolution.

    Parameters
    ----------
    batch_norm : bool
        Whether batch norm follows each convolution.
    """
    return vgg(13, classes, in_channels, width, batch_norm=batch_norm, small=True)


@network
def vgg16_small(classes: int, in_channels: int = 3, width: float = 1.0, *, batch_norm: bool = False) -> nn.Module:
    """Build VGG16 for small images: the mean over all positions and one linear layer follow the last convolution.

    Parameters
    ----------
    batch_norm : bool
        Whether batch norm follows each convolution.
    """
    return vgg(16, classes, in_channels, width, batch_norm=batch_norm, small=True)


@network
def vgg19_small(classes: int, in_channels: int = 3, width: float = 1.0, *, batch_norm: bool = False) -> nn.Module:
    """Build VGG19 for small images: the mean over all positions and one linear layer follow the last convolution.

    Parameters
    ----------
    batch_norm : bool
        Whether batch norm follows each convolution.
    """
    return vgg(19, classes, in_channels, width, batch_norm=batch_norm, small=True)


@network
def vgg11_mnist(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build the VGG11 that the study's group trained on MNIST: the first convolution is 7 x 7, without bias."""
    return vgg(11, classes, in_channels, width, wide_first=True)


def vgg(
    depth: int,
    classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    batch_norm: bool = False,
    small: bool = False,
    wide_first: bool = False,
) -> nn.Module:
    """Build torchvision's VGG, with the width of every hidden layer scaled.

    Parameters
    ----------
    depth : int
        Number of layers with weights; one of `STAGES`.
    classes : int
    in_channels : int
    width : float
        Factor of every hidden layer's width; at 1, parameters are those of torchvision's network.
    batch_norm : bool
        Whether batch norm follows each convolution.
    small : bool
        Whether the last pooling is the mean over all positions, and the classifier a single linear layer.
    wide_first : bool
        Whether the first convolution is 7 x 7, without bias.

    Returns
    -------
    nn.Module
        For images of at least 32 x 32 pixels; if `small`, of at least 16 x 16.
    """
    wide = partial(scaled, width=width)
    features, channels = nn.Sequential(), in_channels
    for convolutions, out_channels in zip(STAGES[depth], map(wide, CHANNELS), strict=True):
        for _ in range(convolutions):
            features.append(nn.Conv2d(channels, out_channels, kernel_size=3, padding=1))
            if batch_norm:
                features.append(nn.BatchNorm2d(out_channels))
            features.append(nn.ReLU(inplace=True))
            channels = out_channels
        features.append(nn.MaxPool2d(kernel_size=2, stride=2))
    if wide_first:
        features[0] = nn.Conv2d(in_channels, wide(64), kernel_size=7, padding=3, bias=False)
    if small:
        del features[-1]  # the mean over all positions takes its place
    side, hidden = (1, []) if small else (7, [wide(4096)] * 2)
    classifier = _classifier([channels * side**2, *hidden, classes])
    layers = OrderedDict(features=features, avgpool=AveragePool((side, side)), flatten=nn.Flatten())
    return nn.Sequential(layers | {"classifier": classifier})


def _classifier(sizes: Sequence[int]) -> nn.Module:
    """Return linear layers between these sizes, with dropout between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout()]
    return nn.Sequential(*layers[:-2])
