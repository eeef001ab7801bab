"""What is extracted from a network: feature matrices of several kinds, and the gradient of its loss."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ansatz.data.batches import Images
from ansatz.features.agop import agop_over
from ansatz.features.matrix import FeatureMatrix, centred_nfm, nfm
from ansatz.networks.evaluation import evaluating, forward
from ansatz.networks.maps import linear_maps, studied_maps

BATCH = 64  # images, of which the graph for the gradient of the loss is kept at once


def extract(
    kinds: Iterable[str],
    network: nn.Module,
    *,
    images: Images | None,
    estimator: Mapping[str, Any],
    initial: nn.Module | None = None,
) -> dict[str, dict[str, FeatureMatrix]]:
    """Return ``matrices[kind][layer]`` of the layers that `ansatz.networks.maps.studied_maps` finds.

    Parameters
    ----------
    kinds : iterable of str
        Of `ansatz.files.features.KINDS`.
    network : nn.Module
        On the images' device.
    images : Images or None
        The training images, for all kinds but ``nfm`` and ``centred_nfm``.
    estimator : mapping
        Keywords of `ansatz.features.agop.agop_over`.
    initial : nn.Module, optional
        The network before training, for ``centred_nfm``.
    """
    layers, of = list(studied_maps(network)), cast(Images, images)
    ways = {
        "nfm": lambda: nfm(network, layers),
        "agop": lambda: agop_over(network, of, layers=layers, **estimator),
        "centred_nfm": lambda: centred_nfm(network, cast(nn.Module, initial), layers),
        "gradient": lambda: loss_gradient(network, of, estimator["sample_size"], layers),
    }
    return {kind: ways[kind]() for kind in kinds}


@torch.enable_grad()
def loss_gradient(
    network: nn.Module, images: Images, sample_size: int, layers: list[str] | None = None
) -> dict[str, FeatureMatrix]:
    """Return the gradient of the mean cross-entropy by each layer's weight, as a factor: (groups, rows, patch).

    Parameters
    ----------
    network : nn.Module
        Runs in evaluation mode, on the images' device.
    images : Images
    sample_size : int
        Number of images, the same as for `ansatz.features.agop.agop_over`.
    layers : list of str, optional
        As for `ansatz.networks.maps.linear_maps`.
    """
    order = images.sample(sample_size, seed=0)
    with evaluating(network):
        maps = linear_maps(network, layers)
        trainable = {name: each.source.requires_grad for name, each in maps.items()}
        try:
            weights = {name: each.source.requires_grad_() for name, each in maps.items()}
            sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
            for x, labels in images.batches(BATCH, order):
                loss = cross_entropy(forward(network, x), labels, reduction="sum") / len(order)
                gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
                for total, gradient in zip(sums.values(), gradients, strict=True):
                    if gradient is not None:
                        total += gradient
        finally:
            for name, requires_grad in trainable.items():
                maps[name].source.requires_grad_(requires_grad)
        return {name: FeatureMatrix(each.grouped(sums[name]), each.shape) for name, each in maps.items()}
