"""Initialize the layers of a network."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ansatz.data.batches import Images
from ansatz.errors import UserError
from ansatz.features.inputs import LayerInputs
from ansatz.features.matching import match, shuffle
from ansatz.features.matrix import FeatureMatrix
from ansatz.features.resizing import resized
from ansatz.initializers.role import Role
from ansatz.initializers.scaling import COVARIANCE_SCALINGS
from ansatz.initializers.unit_variance import unit_variance_
from ansatz.networks.maps import LinearMap, studied_maps
from ansatz.registry import Registered, find
from ansatz.seeds import derive_seed


@torch.no_grad()
def initialize(
    network: nn.Module,
    name: str | None,
    *,
    seed: int,
    options: Mapping[str, Any] | None = None,
    unit_variance: bool = False,
    matrices: Mapping[str, Mapping[str, FeatureMatrix]] | None = None,
    scaling: str = "trace",
    layers: Mapping[str, str] | None = None,
    resize: str = "none",
    images: Images | None = None,
) -> None:
    """Fill the weights of all studied layers of a network in place, and set their biases to 0.

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
    unit_variance : bool
        Whether the filters of each layer are then scaled to outputs of variance 1, by `unit_variance_`.
    matrices : mapping, optional
        ``matrices[kind][layer of the source]``, kind ``nfm``, ``agop`` or ``centred_nfm``; required by initializers
        that draw from feature matrices.
    scaling : str
        One of `ansatz.initializers.scaling.COVARIANCE_SCALINGS`.
    layers : mapping of str to str, optional
        Layer -> layer of the source to draw from, where `ansatz.features.matching.match` cannot decide.
    resize : {"none", "spatial", "channels"}
        What may differ between the patches of a layer and those of the layer that it draws from: rows and columns, or
        channels. The feature matrix is then `ansatz.features.resizing.resized`.
    images : Images, optional
        The training images, required by initializers that need images, and read by no others. Layers are filled in
        their order, so that each sees what the layers before it make of a batch.

    Raises
    ------
    UserError
        If the initializer draws from feature matrices that are missing or zero, or needs images and there are none; if
        a layer has no counterpart in the source; or if the initializer returns a tensor instead of filling the weight.
    """
    if name is None:
        return
    initializer, maps = find("initializer", name), studied_maps(network)
    covariances = _covariances(initializer, maps, matrices, scaling=scaling, layers=layers, resize=resize, seed=seed)
    if (unit_variance or initializer.declared.get("needs_images")) and images is None:
        needing = "unit_variance" if unit_variance else name
        raise UserError(f"initializer: {needing} needs a batch of training images, but there are none")
    attentions = list(dict.fromkeys(each.part.attention for each in maps.values() if each.part))
    for position, (layer, each) in enumerate(maps.items()):
        if each.bias is not None:
            each.bias.zero_()
        inputs = LayerInputs(network, layer, images, seed) if images is not None else None
        arguments = {
            "needs": covariances.get(layer),
            "needs_position": position,
            "needs_groups": each.channel_groups,
            "needs_images": inputs,
            "needs_role": _role(each, attentions, seed),
        }  # in the order in which the function takes those that it declares
        declared = [argument for keyword, argument in arguments.items() if initializer.declared.get(keyword)]
        generator = torch.Generator().manual_seed(derive_seed(seed, "filters", position))
        weight = each.weight
        returned = initializer.object(weight, generator, *declared, **(options or {}))
        if isinstance(returned, torch.Tensor) and returned is not weight:
            raise UserError(f"initializer {name}: returned a tensor; it must fill the given weight in place")
        if unit_variance and inputs:
            unit_variance_(weight, inputs)


def _role(each: LinearMap, attentions: Sequence[str], seed: int) -> Role | None:
    """Return what the layer is in its attention; the two layers of a pair have the same random numbers."""
    if not each.part:
        return None
    pair = "queries and keys" if each.part.role in "qk" else "values and outputs"
    number = derive_seed(seed, pair, attentions.index(each.part.attention))
    return Role(each.part.role, each.part.heads, torch.Generator().manual_seed(number))


def _covariances(
    initializer: Registered,
    maps: Mapping[str, LinearMap],
    matrices: Mapping[str, Mapping[str, FeatureMatrix]] | None,
    *,
    scaling: str,
    layers: Mapping[str, str] | None,
    resize: str,
    seed: int,
) -> dict[str, FeatureMatrix]:
    """Return the covariance of each layer's filters; nothing if the initializer needs none."""
    kind = initializer.declared["needs"]
    if kind is None:
        return {}
    if matrices is None or kind not in matrices:
        raise UserError(f"initializer: {initializer.name} draws from the {kind} of a source, but there is none")
    by_layer = matrices[kind]
    patches = {layer: each.shape for layer, each in maps.items()}
    shapes = {layer: matrix.shape for layer, matrix in by_layer.items()}
    matched = {layer: chosen.layer for layer, chosen in match(patches, shapes, layers, resize).items()}
    covariances = {}
    if initializer.declared["shuffled"]:
        groups = {layer: len(matrix.factor) for layer, matrix in by_layer.items()}
        matched = shuffle(matched, shapes, groups, seed)
    for layer, source_layer in matched.items():
        matrix, heads = by_layer[source_layer], maps[layer].groups
        if not bool(matrix.trace().isfinite().all()):
            raise UserError(f"source: the {kind} of layer {source_layer} is not finite; has the network diverged?")
        if not bool((matrix.trace() > 0).all()):
            raise UserError(f"source: the {kind} of layer {source_layer} is zero; filters cannot be drawn from it")
        if maps[layer].part and len(matrix.factor) not in (1, heads):
            differ = f"{source_layer} has {len(matrix.factor)} heads, but {layer} has {heads}"
            raise UserError(f"source: {differ}; each draws from one of its own")
        if not initializer.declared["scale"] and matrix.shape[0] != patches[layer][0]:
            raise UserError(f"initializer: {initializer.name} takes filters, which resize: channels cannot make")
        filters = matrix.factor.shape[1]  # before it is resized
        matrix = resized(matrix, patches[layer])
        scale, fan_in = initializer.declared["scale"], math.prod(patches[layer])
        if scale == "source":
            matrix = matrix.scaled(1 / filters)  # of which an NFM is the sum
        elif scale:
            matrix = COVARIANCE_SCALINGS[scaling](matrix, kind=kind, scale=scale, fan_in=fan_in)
        covariances[layer] = matrix
    return covariances
