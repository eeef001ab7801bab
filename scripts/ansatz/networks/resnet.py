"""ResNets (He et al. 2016)."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from ansatz.networks.layers import AveragePool, scaled
from ansatz.registry import network


@network
def resnet18(
    classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    stem: Literal["large", "small"] = "large",
    zero_init_residual: bool = False,
) -> nn.Module:
    """Build ResNet-18 (He et al. 2016): two convolutions of 3 x 3 in each of eight blocks.

    Parameters
    ----------
    stem : {"large", "small"}
        What precedes the blocks: large, a convolution of 7 x 7 and pooling, which reduce images to a quarter; small,
        for images of about 32 px, a convolution of 3 x 3.
    zero_init_residual : bool
        Whether blocks start as their shortcuts: the last batch norm of each branch multiplies by 0 (Goyal et al. 2017).
    """
    return _resnet(_Basic, (2, 2, 2, 2), classes, in_channels, width, stem, zero_init_residual)


@network
def resnet34(
    classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    stem: Literal["large", "small"] = "large",
    zero_init_residual: bool = False,
) -> nn.Module:
    """Build ResNet-34 (He et al. 2016): two convolutions of 3 x 3 in each of 16 blocks.

    Parameters
    ----------
    stem : {"large", "small"}
        What precedes the blocks: large, a convolution of 7 x 7 and pooling, which reduce images to a quarter; small,
        for images of about 32 px, a convolution of 3 x 3.
    zero_init_residual : bool
        Whether blocks start as their shortcuts: the last batch norm of each branch multiplies by 0 (Goyal et al. 2017).
    """
    return _resnet(_Basic, (3, 4, 6, 3), classes, in_channels, width, stem, zero_init_residual)


@network
def resnet50(
    classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    stem: Literal["large", "small"] = "large",
    zero_init_residual: bool = False,
) -> nn.Module:
    """Build ResNet-50 (He et al. 2016): three convolutions in each of 16 blocks.

    Parameters
    ----------
    stem : {"large", "small"}
        What precedes the blocks: large, a convolution of 7 x 7 and pooling, which reduce images to a quarter; small,
        for images of about 32 px, a convolution of 3 x 3.
    zero_init_residual : bool
        Whether blocks start as their shortcuts: the last batch norm of each branch multiplies by 0 (Goyal et al. 2017).
    """
    return _resnet(
        _Bottleneck, (3, 4, 6, 3), classes, in_channels, width, stem=stem, zero_init_residual=zero_init_residual
    )


@network
def resnet18_small(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build ResNet-18 (He et al. 2016) for small images: `resnet18` with the small stem."""
    return resnet18(classes, in_channels, width, stem="small")


def _resnet(
    block: type["_Basic"] | type["_Bottleneck"],
    counts: Sequence[int],
    classes: int,
    in_channels: int,
    width: float,
    stem: Literal["large", "small"],
    zero_init_residual: bool,
) -> nn.Module:
    """Build torchvision's ResNet with so many blocks in its four stages; at width 1, parameters are the same."""
    channels, is_large = scaled(64, width), stem == "large"
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=_convolution(in_channels, channels, 7, 2) if is_large else _convolution(in_channels, channels, 3),
        bn1=nn.BatchNorm2d(channels),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1) if is_large else nn.Identity(),
    )
    for stage, (count, filters) in enumerate(zip(counts, (64, 128, 256, 512), strict=True)):
        layers[f"layer{stage + 1}"] = blocks = nn.Sequential()
        for position in range(count):
            stride = 2 if stage > 0 and position == 0 else 1
            blocks.append(block(channels, scaled(filters, width), stride, zero_init_residual))
            channels = block.expansion * scaled(filters, width)
    layers |= {"avgpool": AveragePool((1, 1)), "flatten": nn.Flatten(), "fc": nn.Linear(channels, classes)}
    return nn.Sequential(layers)


class _Basic(nn.Module):
    """Two convolutions of 3 x 3, and a shortcut around them."""

    expansion = 1

    def __init__(self, channels: int, filters: int, stride: int, zero: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(channels, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = _convolution(filters, filters, 3), _last_norm(filters, zero)
        self.relu, self.downsample = nn.ReLU(inplace=True), _shortcut(channels, filters, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(branch)) + self.downsample(x))


class _Bottleneck(nn.Module):
    """A convolution of 3 x 3 between two of 1 x 1, the last with four times the filters, and a shortcut around them."""

    expansion = 4

    def __init__(self, channels: int, filters: int, stride: int, zero: bool) -> None:
        super().__init__()
        outputs = self.expansion * filters
        self.conv1, self.bn1 = _convolution(channels, filters, 1), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = _convolution(filters, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv3, self.bn3 = _convolution(filters, outputs, 1), _last_norm(outputs, zero)
        self.relu, self.downsample = nn.ReLU(inplace=True), _shortcut(channels, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.relu(self.bn1(self.conv1(x)))
        branch = self.relu(self.bn2(self.conv2(branch)))
        return self.relu(self.bn3(self.conv3(branch)) + self.downsample(x))


def _convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    padding = kernel_size // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False)


def _last_norm(channels: int, zero: bool) -> nn.Module:
    norm = nn.BatchNorm2d(channels)
    if zero:
        nn.init.zeros_(norm.weight)
    return norm


def _shortcut(channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return the identity, or a convolution of 1 x 1 where the block changes the shape."""
    if stride == 1 and channels == out_channels:
        return nn.Sequential()
    return nn.Sequential(_convolution(channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))
