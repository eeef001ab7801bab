"""Which layer of a source each layer of a network draws from."""

import logging
from collections.abc import Mapping

import numpy as np

from ansatz.errors import UserError
from ansatz.features.matrix import Shape, shape_text
from ansatz.seeds import derive_seed

LOG = logging.getLogger(__name__)


def match(
    network: Mapping[str, Shape], source: Mapping[str, Shape], layers: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Match each layer of a network with a layer of the source whose feature matrix has its shape.

    Parameters
    ----------
    network, source : mapping of str to tuple
        The patch shape of each convolution, in order, of the network to initialize and of the source.
    layers : mapping of str to str, optional
        Layer -> layer of the source, for the layers that the user matches.

    Returns
    -------
    dict of str to str
        Layer -> layer of the source: from `layers`; otherwise in order, if both have the same sequence of patch shapes;
        otherwise by patch shape, if exactly one layer of the source has it.

    Raises
    ------
    UserError
        If a layer has no counterpart, or several; the message lists all layers of both.
    """
    same_sequence = list(network.values()) == list(source.values())
    matched = dict(zip(network, source, strict=True)) if same_sequence else {}
    both = f"the network has {_listed(network)}; the source has {_listed(source)}"
    for layer, source_layer in (layers or {}).items():
        if layer not in network or source.get(source_layer) != network[layer]:
            raise UserError(f"layers: {layer} cannot take {source_layer}; {both}")
        matched[layer] = source_layer
    for layer in (name for name in network if name not in matched):
        candidates = [name for name, shape in source.items() if shape == network[layer]]
        if len(candidates) != 1:
            problem = (
                f"could take {' or '.join(candidates)}: choose one in layers" if candidates else "has no counterpart"
            )
            raise UserError(f"source: layer {layer} with patches {shape_text(network[layer])} {problem}; {both}")
        matched[layer] = candidates[0]
    return matched


def shuffle(matched: Mapping[str, str], source: Mapping[str, Shape], seed: int) -> dict[str, str]:
    """Match each layer of a network with another layer of the source, whose patches have the same shape.

    Parameters
    ----------
    matched : mapping of str to str
        Layer -> layer of the source, as `match` returns it.
    source : mapping of str to tuple
        The patch shape of each layer of the source.
    seed : int

    Returns
    -------
    dict of str to str
        Each layer of the source is replaced by the next one of its shape, in a circle that the seed draws. A layer that
        is the only one of its shape stays, which is logged.
    """
    rng = np.random.default_rng(derive_seed(seed, "shuffle"))
    following: dict[str, str] = {}
    for shape in dict.fromkeys(source.values()):
        circle = rng.permutation([layer for layer in source if source[layer] == shape]).tolist()
        following |= dict(zip(circle, circle[1:] + circle[:1], strict=True))
    for layer in (layer for layer in matched.values() if following[layer] == layer):
        LOG.info("%s keeps its own feature matrix: no other layer has patches of %s", layer, shape_text(source[layer]))
    return {layer: following[source_layer] for layer, source_layer in matched.items()}


def _listed(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{layer} {shape_text(shape)}" for layer, shape in shapes.items())
