"""ConvNeXt (Liu et al. 2022)."""

from collections import OrderedDict
from typing import Literal

import torch
from torch import nn

from ansatz.networks.layers import AveragePool, scaled
from ansatz.registry import network

STAGES = ((96, 3), (192, 3), (384, 9), (768, 3))  # channels and number of blocks


@network
def convnext_tiny(
    classes: int, in_channels: int = 3, width: float = 1.0, *, stem: Literal["large", "small"] = "large"
) -> nn.Module:
    """Build ConvNeXt-Tiny (Liu et al. 2022): depthwise convolutions of 7 x 7 in each of 18 blocks.

    Unlike in the paper, blocks are not dropped at random during training.

    Parameters
    ----------
    classes, in_channels : int
    width : float
        Factor of every hidden layer's width; at 1, parameters are those of torchvision's network.
    stem : {"large", "small"}
        What precedes the blocks: large, a convolution of 4 x 4 that reduces images to a quarter; small, for images of
        about 32 px, one of 2 x 2 that reduces them to a half.
    """
    channels, side = scaled(STAGES[0][0], width), {"large": 4, "small": 2}[stem]
    before: list[nn.Module] = [nn.Conv2d(in_channels, channels, side, stride=side), _LayerNorm(channels)]
    features = nn.Sequential()
    for filters, count in STAGES:
        out_channels = scaled(filters, width)
        if len(features):
            before = [_LayerNorm(channels), nn.Conv2d(channels, out_channels, 2, stride=2)]
        features.extend([nn.Sequential(*before), nn.Sequential(*[_Block(out_channels) for _ in range(count)])])
        channels = out_channels
    classifier = nn.Sequential(_LayerNorm(channels), nn.Flatten(), nn.Linear(channels, classes))
    return nn.Sequential(OrderedDict(features=features, avgpool=AveragePool((1, 1)), classifier=classifier))


class _Block(nn.Module):
    """A depthwise convolution and two linear layers at each position, scaled, and the identity around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            _Permute(0, 2, 3, 1),
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            _Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), 1e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer_scale * self.block(x) + x


class _Permute(nn.Module):
    def __init__(self, *dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(self.dimensions)


class _LayerNorm(nn.LayerNorm):
    """Layer norm over the channels at each position."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
