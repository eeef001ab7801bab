"""Initialize the convolutions of a network."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ansatz.errors import UserError
from ansatz.features.matching import match
from ansatz.features.matrix import FeatureMatrix
from ansatz.initializers.scaling import COVARIANCE_SCALINGS
from ansatz.networks.layers import conv_layers, patch_shape
from ansatz.registry import Registered, find
from ansatz.seeds import derive_seed


@torch.no_grad()
def initialize(
    network: nn.Module,
    name: str | None,
    *,
    seed: int,
    options: Mapping[str, Any] | None = None,
    matrices: Mapping[str, Mapping[str, FeatureMatrix]] | None = None,
    scaling: str = "trace",
    layers: Mapping[str, str] | None = None,
) -> None:
    """Fill the weights of all convolutions of a network in place, and set their biases to 0.

    Parameters
    ----------
    network : nn.Module
        On the CPU.
    name : str or None
        A registered initializer; None leaves the network as it is.
    seed : int
        The seed of the run, from which each layer's random stream is derived.
    options : mapping, optional
        The initializer's own options, such as the `std` of ``normal``.
    matrices : mapping, optional
        ``matrices["nfm" | "agop"][layer of the source]``, required by initializers that draw from feature matrices.
    scaling : str
        One of `ansatz.initializers.scaling.COVARIANCE_SCALINGS`.
    layers : mapping of str to str, optional
        Layer -> layer of the source to draw from, where `ansatz.features.matching.match` cannot decide.

    Raises
    ------
    UserError
        If the initializer draws from feature matrices that are missing or zero, a layer has no counterpart in the
        source, or the initializer returns a tensor instead of filling the weight.
    """
    if name is None:
        return
    initializer = find("initializer", name)
    covariances = _covariances(initializer, conv_layers(network), matrices, scaling, layers)
    for position, (layer, conv) in enumerate(conv_layers(network).items()):
        generator = torch.Generator().manual_seed(derive_seed(seed, "filters", position))
        arguments: list[Any] = [conv.weight, generator]
        if initializer.declared["needs"]:
            arguments.append(covariances[layer])
        if initializer.declared["needs_position"]:
            arguments.append(position)
        returned = initializer.object(*arguments, **(options or {}))
        if isinstance(returned, torch.Tensor) and returned is not conv.weight:
            raise UserError(f"initializer {name}: returned a tensor; it must fill the given weight in place")
        if conv.bias is not None:
            conv.bias.zero_()


def _covariances(
    initializer: Registered,
    convolutions: Mapping[str, nn.Conv2d],
    matrices: Mapping[str, Mapping[str, FeatureMatrix]] | None,
    scaling: str,
    layers: Mapping[str, str] | None,
) -> dict[str, FeatureMatrix]:
    """Return the covariance of each layer's filters; nothing if the initializer needs none."""
    kind = initializer.declared["needs"]
    if kind is None:
        return {}
    if matrices is None or kind not in matrices:
        raise UserError(f"initializer: {initializer.name} draws from the {kind} of a source, but there is none")
    by_layer = matrices[kind]
    patches = {layer: patch_shape(conv) for layer, conv in convolutions.items()}
    shapes = {layer: matrix.shape for layer, matrix in by_layer.items()}
    covariances = {}
    for layer, source_layer in match(patches, shapes, layers).items():
        matrix = by_layer[source_layer]
        if not bool((matrix.trace() > 0).all()):
            raise UserError(f"source: the {kind} of layer {source_layer} is zero; filters cannot be drawn from it")
        scale, fan_in = initializer.declared["scale"], math.prod(patches[layer])
        covariances[layer] = COVARIANCE_SCALINGS[scaling](matrix, kind=kind, scale=scale, fan_in=fan_in)
    return covariances
