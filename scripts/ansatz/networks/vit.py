"""Vision transformers (Dosovitskiy et al. 2021)."""

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

from ansatz.errors import UserError
from ansatz.networks.layers import scaled
from ansatz.registry import network

HEAD_SIZE = 64  # channels of a head, at width 1
EXPANSION = 4  # of the MLP in each block


class _Transformer(VisionTransformer):
    """Torchvision's, whose last layer may see the mean of all tokens instead of the class token."""

    def __init__(self, pooling: str, in_channels: int, **options: int) -> None:
        super().__init__(**options)
        self.pooling = pooling
        if in_channels != 3:
            size = self.patch_size
            self.conv_proj = nn.Conv2d(in_channels, self.hidden_dim, kernel_size=size, stride=size)
        self.heads.head.reset_parameters()  # torchvision's zeros would have neither NFM nor AGOP before training

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self._process_input(x)  # (n, patches, channels)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), tokens], dim=1)
        tokens = self.encoder(tokens)  # (n, 1 + patches, channels)
        logits: torch.Tensor = self.heads(tokens[:, 0] if self.pooling == "token" else tokens[:, 1:].mean(1))
        return logits


@network
def vit(
    classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    patch_size: Annotated[int, Interval(ge=1, le=32)] = 4,
    depth: Annotated[int, Interval(ge=1, le=48)] = 6,
    heads: Annotated[int, Interval(ge=1, le=32)] = 3,
    pooling: Literal["token", "mean"] = "token",
    image_size: int = 32,
) -> nn.Module:
    """Build torchvision's vision transformer, with learned positions (Dosovitskiy et al. 2021).

    Weights of torchvision's ``vit_b_16`` fit with `patch_size` 16, `depth` 12, `heads` 12 and `image_size` 224.

    Parameters
    ----------
    classes, in_channels : int
    width : float
        Factor of the 64 channels of each head.
    patch_size : int
        Side of the patches that become tokens, in pixels.
    depth : int
        Number of blocks.
    heads : int
        Number of heads of each attention.
    pooling : {"token", "mean"}
        What the last layer sees: the class token, or the mean of the others.
    image_size : int
        Side of the images, in pixels.
    """
    if image_size % patch_size:
        raise UserError(f"network.patch_size: {patch_size} px do not divide images of {image_size} px")
    channels = heads * scaled(HEAD_SIZE, width)
    return _Transformer(
        pooling,
        in_channels,
        image_size=image_size,
        patch_size=patch_size,
        num_layers=depth,
        num_heads=heads,
        hidden_dim=channels,
        mlp_dim=EXPANSION * channels,
        num_classes=classes,
    )
