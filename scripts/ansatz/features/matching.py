"""Which layer of a source each layer of a network draws from."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ansatz.errors import UserError, listed
from ansatz.features.matrix import Shape, shape_text
from ansatz.features.resizing import fits
from ansatz.seeds import derive_seed

LOG = logging.getLogger(__name__)


class Match(NamedTuple):
    """A layer of the source, and why it was chosen: ``layers`` (by the user), ``order``, ``name`` or ``shape``."""

    layer: str
    reason: str


def match(
    network: Mapping[str, Shape],
    source: Mapping[str, Shape],
    layers: Mapping[str, str] | None = None,
    resize: str = "none",
) -> dict[str, Match]:
    """Match each layer of a network with a layer of the source whose feature matrix fits its patches.

    Parameters
    ----------
    network, source : mapping of str to tuple
        The patch shape of each layer, in order, of the network to initialize and of the source.
    layers : mapping of str to str, optional
        Layer -> layer of the source, for the layers that the user matches.
    resize : str
        As for `ansatz.features.resizing.fits`.

    Returns
    -------
    dict of str to Match
        Layer -> layer of the source: from `layers`; otherwise in order, if both have as many layers and all fit;
        otherwise the layer of the same name, if it fits; otherwise the one that fits, if it is the only one.

    Raises
    ------
    UserError
        If a layer has no counterpart, or several; the message lists all layers of both.
    """
    shapes = zip(network.values(), source.values(), strict=False)
    in_order = len(network) == len(source) and all(fits(own, other, resize) for own, other in shapes)
    matched = {own: Match(other, "order") for own, other in zip(network, source, strict=True)} if in_order else {}
    both = f"the network has {_listed(network)}; the source has {_listed(source)}"
    for layer, source_layer in (layers or {}).items():
        if layer not in network or source_layer not in source or not fits(network[layer], source[source_layer], resize):
            raise UserError(f"layers: {layer} cannot take {source_layer}; {both}")
        matched[layer] = Match(source_layer, "layers")
    for layer in (name for name in network if name not in matched):
        candidates = [name for name, shape in source.items() if fits(network[layer], shape, resize)]
        if layer in candidates:
            matched[layer] = Match(layer, "name")
            continue
        if len(candidates) != 1:
            if candidates:
                problem = f"could take {listed(candidates, ' or ')}: choose one in layers"
            else:
                can_resize = resize == "none" and len(network[layer]) == 3  # tokens have no rows and columns
                problem = "has no counterpart" + (" (resize lets shapes differ)" if can_resize else "")
            raise UserError(f"source: layer {layer} with patches {shape_text(network[layer])} {problem}; {both}")
        matched[layer] = Match(candidates[0], "shape")
    return {layer: matched[layer] for layer in network}


def to_markdown(network: Mapping[str, Shape], source: Mapping[str, Shape], matched: Mapping[str, Match]) -> str:
    """Return a table of what `match` found, in Markdown."""
    rows = [("layer", "patches", "draws from", "patches", "by"), ("---",) * 5]
    for layer, (other, reason) in matched.items():
        rows.append((f"`{layer}`", shape_text(network[layer]), f"`{other}`", shape_text(source[other]), reason))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def shuffle(
    matched: Mapping[str, str], source: Mapping[str, Shape], groups: Mapping[str, int], seed: int
) -> dict[str, str]:
    """Match each layer of a network with another layer of the source, with as many groups and patches of that shape.

    Parameters
    ----------
    matched : mapping of str to str
        Layer -> layer of the source, as `match` finds it.
    source : mapping of str to tuple
        The patch shape of each layer of the source.
    groups : mapping of str to int
        Its groups or heads.
    seed : int

    Returns
    -------
    dict of str to str
        Each layer of the source is replaced by the next one of its kind, in a circle that the seed draws. A layer that
        is the only one of its kind stays, which is logged.
    """
    rng = np.random.default_rng(derive_seed(seed, "shuffle"))
    following: dict[str, str] = {}
    kinds = {layer: (groups[layer], shape) for layer, shape in source.items()}
    for kind in dict.fromkeys(kinds.values()):
        circle = rng.permutation([layer for layer in source if kinds[layer] == kind]).tolist()
        following |= dict(zip(circle, circle[1:] + circle[:1], strict=True))
    for layer in (layer for layer in matched.values() if following[layer] == layer):
        LOG.info("%s keeps its own feature matrix: no other layer has patches of %s", layer, shape_text(source[layer]))
    return {layer: following[source_layer] for layer, source_layer in matched.items()}


def _listed(shapes: Mapping[str, Shape]) -> str:
    return listed(f"{layer} {shape_text(shape)}" for layer, shape in shapes.items())
