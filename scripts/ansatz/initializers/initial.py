"""The network that a training starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ansatz.data.batches import Images
from ansatz.features.stored import read_matrices
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.networks.evaluation import check_logits


def initial_network(
    network: Mapping[str, Any],
    classes: int,
    initializer: Mapping[str, Any],
    *,
    seed: int,
    images: Images | None,
    features: str | Path | None = None,
) -> nn.Module:
    """Build a network and initialize it.

    Parameters
    ----------
    network : mapping of str to Any
        Keywords of `ansatz.networks.build.build`, such as its name.
    classes : int
    initializer : mapping of str to Any
        Its ``name`` (None for PyTorch's default), its ``options``, and for ``covariance`` further keywords of
        `ansatz.initializers.initialize.initialize`.
    seed : int
    images : Images or None
        The training images that it is to take, read only by an initializer that needs images; None if it takes none.
    features : path, optional
        The ``features.h5`` of the source that the initializer draws from.

    Raises
    ------
    UserError
        If the network does not map such images to one logit per class.
    """
    built = build(**network, classes=classes, seed=seed)
    if images is not None:
        check_logits(built, classes, channels=network["in_channels"], size=images.size)
    matrices = read_matrices(features) if features else None
    name, options, covariance = (initializer[key] for key in ("name", "options", "covariance"))
    initialize(built, name, seed=seed, options=options, matrices=matrices, images=images, **covariance)
    return built
