"""How features form while a network trains: what is looked at on the way, and how far it is from what comes out.

After the experiments of Long, Lam, Yu, Shi and Hu (2023) on LeNet-5 and ResNet-18.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from ansatz.batches import Images
from ansatz.errors import UserError
from ansatz.feature_matrices import FeatureMatrix, agop_over, correlation, frozen
from ansatz.networks import conv_layers, forward, patch_shape
from ansatz.store import Evolution, Followed


def chosen(network: nn.Module, layers: Sequence[str] | None) -> list[str]:
    """Return the convolutions to follow: those named, or all.

    Raises
    ------
    UserError
        If one of them is none of the network's.
    """
    known = list(conv_layers(network))
    for layer in layers or []:
        if layer not in known:
            raise UserError(f"layers: {layer!r} is no convolution of the network; they are {', '.join(known)}")
    return list(layers or known)


def observer(
    layers: Sequence[str],
    images: Mapping[str, Images],
    *,
    sample: int,
    estimator: Mapping[str, Any],
    image: int,
) -> Callable[[nn.Module], dict[str, Any]]:
    """Return what looks at a network in training, for `ansatz.training.Watch`.

    Parameters
    ----------
    layers : sequence of str
        The convolutions to follow.
    images : mapping of str to Images
        ``train`` and ``validation``.
    sample : int
        How many training images AGOP is averaged over, the same ones each time.
    estimator : mapping
        How, as for `ansatz.feature_matrices.agop`.
    image : int
        The validation image whose way through the network is followed.

    Returns
    -------
    callable
        Network -> ``filters``, ``agop`` (thin factors) and ``outputs`` by layer, on the CPU; it stays as it is.

    Raises
    ------
    UserError
        If there is no such image.
    """
    if image >= len(images["validation"]):
        raise UserError(
            f"image: {image}, but there are {len(images['validation'])} validation images; they count from 0"
        )
    followed, _ = next(images["validation"].batches(1, torch.tensor([image])))

    def observe(network: nn.Module) -> dict[str, Any]:
        matrices = agop_over(network, images["train"], sample, **estimator)
        return {
            "outputs": outputs(network, followed, layers),
            "agop": {layer: matrices[layer].factor.cpu() for layer in layers},
            "filters": {layer: conv_layers(network)[layer].weight.detach().cpu().clone() for layer in layers},
        }

    return observe


@torch.no_grad()
def outputs(network: nn.Module, image: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return what layers make of an image (1, channels, height, width): (filters, rows, columns), on the CPU."""
    made: dict[str, torch.Tensor] = {}

    def keep(layer: str, _conv: nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        made[layer] = output[0].float().cpu().clone()  # a copy, as an activation in place may follow

    found = conv_layers(network)
    with frozen(network), ExitStack() as undo:
        for layer in layers:
            undo.callback(found[layer].register_forward_hook(partial(keep, layer)).remove)
        forward(network, image)
    return made


def gather(network: nn.Module, records: Sequence[Mapping[str, Any]], image: np.ndarray, name: str) -> Evolution:
    """Put together what was seen of a training, with each moment's correlations.

    Parameters
    ----------
    network : nn.Module
        Of those convolutions.
    records : sequence of dict
        As `ansatz.training.Run` has them, with what `observer` returns.
    image : ndarray
        uint8 (channels, height, width): the one that was followed.
    name : str
        The experiment's.
    """
    curves = [key for key in records[0] if key in ("epoch", "step") or key.endswith(("_loss", "_accuracy"))]
    layers = {layer: _follow(conv_layers(network)[layer], layer, records) for layer in records[0]["filters"]}
    return Evolution({key: np.array([record[key] for record in records]) for key in curves}, layers, image, name)


def _follow(conv: nn.Conv2d, layer: str, records: Sequence[Mapping[str, Any]]) -> Followed:
    filters, factors, made = (
        torch.stack([record[key][layer] for record in records]).numpy() for key in ("filters", "agop", "outputs")
    )  # (moments, out, in/groups, kh, kw), (moments, groups, rank, patch), (moments, filters, rows, columns)
    shape = patch_shape(conv)
    nfms = [FeatureMatrix(torch.from_numpy(w).reshape(conv.groups, -1, factors.shape[-1]), shape) for w in filters]
    agops = [FeatureMatrix(torch.from_numpy(factor), shape) for factor in factors]
    correlations = {
        "nfm_final_nfm": [correlation(matrix, nfms[-1]) for matrix in nfms],
        "agop_final_agop": [correlation(matrix, agops[-1]) for matrix in agops],
        "nfm_agop": [correlation(a, b) for a, b in zip(nfms, agops, strict=True)],
    }
    return Followed(filters, factors, made, {name: np.array(values) for name, values in correlations.items()})
