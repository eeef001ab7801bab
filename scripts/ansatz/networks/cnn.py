"""Plain convolutional networks, as varied by Beaglehole et al. (2023)."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from annotated_types import Interval
from torch import nn

from ansatz.errors import UserError
from ansatz.networks.layers import scaled
from ansatz.registry import network

POOLINGS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "none": (nn.Identity, nn.Identity),
    "average": (partial(nn.AvgPool2d, 2), partial(nn.AdaptiveAvgPool2d, 1)),
    "max": (partial(nn.MaxPool2d, 2), partial(nn.AdaptiveMaxPool2d, 1)),
}  # name -> the module between convolutions, and the module after the last


@network
def cnn(
    classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    depth: Annotated[int, Interval(ge=1, le=20)] = 4,
    patch_size: Literal[1, 3, 5, 7, 9] = 3,
    pooling: Literal["none", "average", "max"] = "none",
    image_size: int = 32,
) -> nn.Module:
    """Build a plain convolutional network without biases, as varied by Beaglehole et al. (2023).

    Parameters
    ----------
    classes, in_channels : int
    width : float
        Factor of the 64 filters of each convolution.
    depth : int
        Number of convolutions; they are padded, so that they keep the size of the images.
    patch_size : int
        Side of the filters, in pixels.
    pooling : {"none", "average", "max"}
        Pooling by 2 before each convolution from the third on, and over all positions after the last convolution;
        with "none" the classifier sees all positions.
    image_size : int
        Side of the images, in pixels.
    """
    pool_between, pool_last = POOLINGS[pooling]
    side = image_size if pooling == "none" else 1
    if pooling != "none" and image_size < 2 ** max(0, depth - 2):
        largest = image_size.bit_length() + 1
        raise UserError(
            f"network.depth: {depth} pooled convolutions are too many for {image_size} px images; use at most {largest}"
        )
    features, channels, filters = nn.Sequential(), in_channels, scaled(64, width)
    for layer in range(depth):
        if layer > 1:
            features.append(pool_between())
        padding = patch_size // 2
        features.extend([nn.Conv2d(channels, filters, patch_size, padding=padding, bias=False), nn.ReLU(inplace=True)])
        channels = filters
    flatten, classifier = nn.Flatten(), nn.Linear(channels * side**2, classes, bias=False)
    return nn.Sequential(OrderedDict(features=features, pool=pool_last(), flatten=flatten, classifier=classifier))
