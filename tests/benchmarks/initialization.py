"""Filters of a given covariance: a normal distribution with the dense matrix, and thin factors."""

import os
import time

import torch
from torch.distributions import MultivariateNormal

from ansatz.devices import take_device
from ansatz.feature_matrices import nfm
from ansatz.initializers import initialize
from ansatz.networks import build, conv_layers
from benchmarks.measure import Row, Way, side_by_side


def plain() -> float:
    """Return the seconds for VGG11's 8 layers, from the dense, jittered covariances."""
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
    """Return the seconds for the same from the thin factors."""
    take_device("cpu", os.cpu_count() or 1)
    source, network = build("vgg11", 10, seed=0), build("vgg11", 10, seed=1)
    matrices = {"nfm": nfm(source)}
    initialize(network, "nfm", seed=0, matrices=matrices)
    start = time.perf_counter()
    initialize(network, "nfm", seed=0, matrices=matrices)
    return time.perf_counter() - start


def rows() -> list[Row]:
    """Return the table's part."""
    return side_by_side("initialize VGG11's 8 layers", (plain,), Way("nfm", (ours,), 100), n=3)
