"""Drawing filters with a given covariance: from the dense matrix, against thin factors."""

import os
import time

import torch
from torch.distributions import MultivariateNormal

from ansatz.devices import take_device
from ansatz.features.matrix import nfm
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.networks.layers import conv_layers
from benchmarks.measure import Row, Way, side_by_side


def plain() -> float:
    """Return the seconds for the 8 layers of VGG11 with dense, jittered covariances."""
    source, network = build("vgg11", 10, seed=0), build("vgg11", 10, seed=1)
    covariances = {layer: matrix.dense()[0] for layer, matrix in nfm(source).items()}
    start = time.perf_counter()
    for layer, conv in conv_layers(network).items():
        covariance = covariances[layer] / covariances[layer].trace()
        covariance += 1e-6 * torch.eye(len(covariance))
        filters = MultivariateNormal(torch.zeros(len(covariance)), covariance).sample((conv.out_channels,))
        conv.weight.data = filters.reshape(conv.weight.shape)
        conv.bias.data.zero_()
    return time.perf_counter() - start


def ours() -> float:
    """Return the seconds for the same with thin factors."""
    take_device("cpu", os.cpu_count() or 1)
    source, network = build("vgg11", 10, seed=0), build("vgg11", 10, seed=1)
    matrices = {"nfm": nfm(source)}
    initialize(network, "nfm", seed=0, matrices=matrices)
    start = time.perf_counter()
    initialize(network, "nfm", seed=0, matrices=matrices)
    return time.perf_counter() - start


def rows() -> list[Row]:
    """Return the rows of the table."""
    return side_by_side("initialize VGG11's 8 layers", (plain,), Way("nfm", (ours,), 100), n=3)
