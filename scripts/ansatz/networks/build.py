"""Build networks by name."""

from typing import Any

import torch
from torch import nn

from ansatz.errors import UserError, suggesting
from ansatz.networks.evaluation import smallest_side
from ansatz.networks.maps import Selection, linear_maps, studied_maps
from ansatz.registry import TIMM, definitions, find
from ansatz.seeds import derive_seed


def build(name: str, classes: int, *, seed: int, in_channels: int = 3, width: float = 1.0, **options: Any) -> nn.Module:
    """Build a network with PyTorch's default parameters, drawn from the seed.

    Parameters
    ----------
    name : str
        A registered network; a classification network of torchvision (3 input channels, width 1); or, where timm is
        installed, one of timm's (width 1), as in ``timm/resnet50d``.
    classes, in_channels : int
    seed : int
    width : float
        Factor of the width of every hidden layer.
    **options
        The network's own options, such as the `depth` of ``cnn``; and for every network `layers`, the linear maps that
        experiments are about, where they are not those of `ansatz.networks.maps.studied_maps`.

    Raises
    ------
    UserError
        If there is no such network, it has no such option, there are fewer than two classes, or what is registered
        returns no network with such layers.
    """
    if classes < 2:
        raise UserError("network: all images belong to one class; at least two are required, each in its own folder")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "network"))
        network = _construct(name, classes, in_channels=in_channels, width=width, **options)
    if not studied_maps(network):
        raise UserError(
            f"network {name}: has no layer to study; at least one nn.Conv2d, or hidden nn.Linear, is required"
        )
    return network


def layer_names(name: str, **options: Any) -> list[str]:
    """Return the names of a network's studied layers; parameters and errors are those of `patch_shapes`."""
    return list(patch_shapes(name, **options))


def patch_shapes(name: str, **options: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of each studied layer's patches or tokens, in order, without allocating parameters.

    Parameters
    ----------
    name : str
        As for `build`.
    **options
        `in_channels`, `width`, and the network's own options.

    Raises
    ------
    UserError
        As for `build`.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return {layer: each.shape for layer, each in studied_maps(_construct(name, 2, **options)).items()}


def smallest_image(name: str, **options: Any) -> int | None:
    """Return the side of the smallest images that a network takes, as `ansatz.networks.evaluation.smallest_side` does.

    Parameters and errors are those of `layer_names`.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return smallest_side(_construct(name, 2, **options).eval(), options.get("in_channels", 3))


def only_image(name: str, **options: Any) -> int | None:
    """Return the side of the only images that a network takes, if it says so: its attribute `image_size`.

    Parameters and errors are those of `layer_names`.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        only = getattr(_construct(name, 2, **options), "image_size", None)
    return only if isinstance(only, int) else None


def _construct(name: str, classes: int, *, layers: Selection | None = None, **options: Any) -> nn.Module:
    network = _named(name, classes, **options)
    if layers is not None:
        studied = list(linear_maps(network, layers))
        setattr(network, "studied", studied)  # noqa: B010  nn.Module declares attributes to be tensors, for mypy
    return network


def _named(name: str, classes: int, *, in_channels: int = 3, width: float = 1.0, **options: Any) -> nn.Module:
    if name in (registered := definitions("network")):
        return find("network", name).make(nn.Module, classes, in_channels=in_channels, width=width, **options)
    if options:
        raise UserError(f"network: {name} has no option {', '.join(options)}")
    if width != 1:
        raise UserError(f"network: {name} takes width: 1 only")
    if name.startswith(TIMM):
        return _of_timm(name.removeprefix(TIMM), classes, in_channels)
    from torchvision import models  # only here, as importing it takes as long as importing torch

    torchvision_names = models.list_models(module=models)
    if name not in torchvision_names:
        unknown = f"network: {name!r} is none of {', '.join(registered)}, nor a network of torchvision"
        raise UserError(suggesting(unknown, name, [*registered, *torchvision_names]))
    if in_channels != 3:
        raise UserError(f"network: {name} takes in_channels: 3 only")
    return models.get_model(name, weights=None, num_classes=classes)


def _of_timm(name: str, classes: int, in_channels: int) -> nn.Module:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise UserError(f"network: {TIMM}{name} takes timm, which is not installed: pip install timm") from error
    if not timm.is_model(name):  # with or without a tag, such as .a1_in1k
        raise UserError(suggesting(f"network: timm has no {name!r}", name, timm.list_models()))
    network: nn.Module = timm.create_model(name, num_classes=classes, in_chans=in_channels)
    return network
