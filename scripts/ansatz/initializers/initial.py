"""The network that a training starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ansatz.data.batches import Images
from ansatz.errors import UserError
from ansatz.features.stored import read_matrices
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.networks.evaluation import check_logits
from ansatz.seeds import derive_seed


def initial_network(
    network: Mapping[str, Any],
    initializer: Mapping[str, Any],
    *,
    classes: int,
    seed: int,
    images: Images | None,
    features: str | Path | None = None,
    head: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a network and initialize it.

    Parameters
    ----------
    network : mapping of str to Any
        Keywords of `ansatz.networks.build.build`, such as its name.
    initializer : mapping of str to Any
        Its ``name`` (None for PyTorch's default), its ``options``, whether outputs are scaled to ``unit_variance``, and
        for ``covariance`` further keywords of `ansatz.initializers.initialize.initialize`.
    classes : int
        The number of logits, where `network` does not set it.
    seed : int
    images : Images or None
        The training images that it is to take, read only by an initializer that needs images; None if it takes none.
    features : path, optional
        The ``features.h5`` of the source that the initializer draws from.
    head : mapping, optional
        ``outputs``, the number of logits, which may be more than `classes`, and ``std``: linear layers are drawn from
        N(0, std²) with biases 0, as torchvision draws those of its VGGs.

    Raises
    ------
    UserError
        If the network does not map such images to one logit per class.
    """
    outputs = head["outputs"] if head else classes
    if outputs < classes:
        raise UserError(f"protocol: the head has {outputs} outputs, but there are {classes} classes")
    built = build(**{"classes": outputs, **network}, seed=seed)
    if images is not None:
        check_logits(built, network.get("classes", outputs), channels=network["in_channels"], size=images.size)
    if head:
        _draw_head(built, head["std"], seed)
    matrices = read_matrices(features) if features else None
    settings = {key: value for key, value in initializer.items() if key != "covariance"} | initializer["covariance"]
    initialize(built, seed=seed, matrices=matrices, images=images, **settings)
    return built


@torch.no_grad()
def _draw_head(network: nn.Module, std: float, seed: int) -> None:
    for position, layer in enumerate(module for module in network.modules() if isinstance(module, nn.Linear)):
        generator = torch.Generator().manual_seed(derive_seed(seed, "head", position))
        nn.init.normal_(layer.weight, std=std, generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
