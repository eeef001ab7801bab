"""SimpleNet (Hasanpour et al. 2016)."""

from collections import OrderedDict

from torch import nn

from ansatz.networks.layers import scaled
from ansatz.registry import network

# (number of filters, their side) by stage; every stage but the last ends in pooling by 2
SIMPLENET_STAGES = (
    ((64, 3), (128, 3), (128, 3), (128, 3)),
    ((128, 3), (128, 3), (256, 3)),
    ((256, 3), (256, 3)),
    ((512, 3), (2048, 1), (256, 1)),
    ((256, 3),),
)


@network
def simplenet(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Build SimpleNet (Hasanpour et al. 2016): 13 convolutions, five million parameters as published, no dropout."""
    features, channels = nn.Sequential(), in_channels
    for stage in SIMPLENET_STAGES:
        for filters, side in stage:
            out_channels = scaled(filters, width)
            convolution = nn.Conv2d(channels, out_channels, side, padding=side // 2)
            features.extend([convolution, nn.BatchNorm2d(out_channels, momentum=0.05), nn.ReLU(inplace=True)])
            channels = out_channels
        features.append(nn.MaxPool2d(2) if stage is not SIMPLENET_STAGES[-1] else nn.AdaptiveMaxPool2d(1))
    flatten, classifier = nn.Flatten(), nn.Linear(channels, classes)
    return nn.Sequential(OrderedDict(features=features, flatten=flatten, classifier=classifier))
