"""``features.h5``: the feature matrices of a network, as thin factors."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ansatz.files.hdf5 import Group, read_tree, write_tree

KINDS = (
    "nfm",
    "agop",  # of whole networks
    "centred_nfm",  # of networks whose initial weights are known
    "gradient",  # of the loss by the weights of trained networks: no matrix over patches, but the factor of one
)
OF_SOURCES = ("nfm", "agop")  # kinds that are described and compared for each source


@dataclass(frozen=True)
class Features:
    """The feature matrices of a network, as thin factors.

    Attributes
    ----------
    factors : mapping
        ``factors[kind][layer]``, kind one of `KINDS`: float32 (groups, rank, patch).
    layers : mapping
        ``layers[layer]``: its geometry, as in the attributes of its group: the ``shape`` of its patches or tokens,
        its ``groups`` or heads, the number of its ``rows``; of convolutions, also kernel, stride, padding, dilation.
    attributes : mapping
        Of the whole file: images, estimator, source, fingerprints of the weights and of the factors.
    standard_errors : mapping of str to float
        ``standard_errors[layer]``: relative, of the estimate of AGOP; 0 where it is exact.
    """

    factors: Mapping[str, Mapping[str, np.ndarray]]
    layers: Mapping[str, Mapping[str, Any]]
    attributes: Mapping[str, Any]
    standard_errors: Mapping[str, float]


def write_features(path: str | os.PathLike[str], features: Features, provenance: Mapping[str, Any]) -> None:
    """Write ``features.h5``."""
    tree = {
        kind: {layer: Group({"factor": factor}, **features.layers[layer]) for layer, factor in by_layer.items()}
        for kind, by_layer in features.factors.items()
    }
    for layer, error in features.standard_errors.items():
        tree["agop"][layer].attributes["standard_error"] = error
    write_tree(path, tree, attributes=features.attributes, provenance=provenance)


def read_features(path: str | os.PathLike[str]) -> Features:
    """Read a ``features.h5``.

    Raises
    ------
    UserError
        If the file is damaged or no ``features.h5``.
    """
    return read_tree(path, _features, kind="features.h5")


def _features(tree: Group) -> Features:
    kinds = [kind for kind in KINDS if kind in tree]
    return Features(
        factors={kind: {layer: group["factor"] for layer, group in tree[kind].items()} for kind in kinds},
        layers={layer: group.attributes for layer, group in tree["nfm"].items()},
        attributes=tree.attributes,
        standard_errors={layer: group.attributes["standard_error"] for layer, group in tree.get("agop", {}).items()},
    )
