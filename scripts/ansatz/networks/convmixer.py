"""ConvMixer (Trockman and Kolter 2022)."""

from collections import OrderedDict
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import nn

from ansatz.networks.layers import AveragePool, scaled
from ansatz.registry import network


@network
def convmixer(
    classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    blocks: Annotated[int, Interval(ge=1, le=40)] = 8,
    kernel_size: Literal[3, 5, 7, 9] = 5,
    stride: Annotated[int, Interval(ge=1, le=16)] = 2,
) -> nn.Module:
    """Build ConvMixer (Trockman and Kolter 2022): blocks of a depthwise and a pointwise convolution.

    The defaults are those that its authors recommend for CIFAR-10; for images of 224 px, take `stride` 7 and
    `kernel_size` 9.

    Parameters
    ----------
    classes, in_channels : int
    width : float
        Factor of the 256 filters of each convolution.
    blocks : int
        Number of blocks.
    kernel_size : {3, 5, 7, 9}
        Side of the depthwise filters, in pixels.
    stride : int
        Side of the patches, in pixels, into which the first convolution divides the images.
    """
    filters = scaled(256, width)
    features = nn.Sequential(nn.Conv2d(in_channels, filters, stride, stride=stride), *_activation(filters))
    for _ in range(blocks):
        depthwise = nn.Conv2d(filters, filters, kernel_size, padding=kernel_size // 2, groups=filters)
        features.append(_Residual(depthwise, *_activation(filters)))
        features.extend([nn.Conv2d(filters, filters, 1), *_activation(filters)])
    pool, flatten, classifier = AveragePool((1, 1)), nn.Flatten(), nn.Linear(filters, classes)
    return nn.Sequential(OrderedDict(features=features, avgpool=pool, flatten=flatten, classifier=classifier))


class _Residual(nn.Sequential):
    """Layers, and the identity around them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + x


def _activation(filters: int) -> tuple[nn.Module, nn.Module]:
    return nn.GELU(), nn.BatchNorm2d(filters)
