"""ResNet-18 for small images (He et al. 2016)."""

from collections import OrderedDict
from functools import partial

import torch
from torch import nn

from ansatz.networks.layers import AveragePool, scaled
from ansatz.registry import network


@network
def resnet18_small(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build ResNet-18 (He et al. 2016) for small images: the first convolution is 3 x 3, without pooling after it."""
    channels = scaled(64, width)
    stem = [_convolution(in_channels, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    features = nn.Sequential(*stem)
    for out_channels, stride in zip(map(partial(scaled, width=width), (64, 128, 256, 512)), (1, 2, 2, 2), strict=True):
        features.extend([_Residual(channels, out_channels, stride), _Residual(out_channels, out_channels, 1)])
        channels = out_channels
    pool, flatten, classifier = AveragePool((1, 1)), nn.Flatten(), nn.Linear(channels, classes)
    return nn.Sequential(OrderedDict(features=features, avgpool=pool, flatten=flatten, classifier=classifier))


class _Residual(nn.Module):
    """Two convolutions and a shortcut around them: a 1 x 1 convolution where they change the shape."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(channels, out_channels, 3, stride), nn.BatchNorm2d(out_channels)
        self.conv2, self.bn2 = _convolution(out_channels, out_channels, 3), nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != out_channels:
            self.shortcut.extend([_convolution(channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(hidden)) + self.shortcut(x))


def _convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    padding = kernel_size // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False)
