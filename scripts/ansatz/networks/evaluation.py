"""Evaluate a network: its logits, the memory of its activations, and evaluation mode."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ansatz.devices import autocast
from ansatz.errors import UserError
from ansatz.networks.layers import conv_layers


def forward(network: nn.Module, x: torch.Tensor, precision: str = "float32") -> torch.Tensor:
    """Return the logits of images, in float32 or a wider type.

    Parameters
    ----------
    network : nn.Module
    x : Tensor
        (n, channels, height, width), on the network's device and of its type.
    precision : str
        One of `ansatz.devices.PRECISIONS`, for what is computed; parameters and logits stay float32.

    Returns
    -------
    Tensor
        (n, classes).
    """
    with autocast(x.device, precision):
        logits = network(x.contiguous(memory_format=torch.channels_last))
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def check_logits(network: nn.Module, classes: int, *, channels: int, size: int) -> None:
    """Refuse a network that does not map an image to one logit per class.

    Parameters
    ----------
    network : nn.Module
        On the CPU.
    classes : int
    channels, size : int
        Channels and side of the image.

    Raises
    ------
    UserError
        If it does not take such an image, or its output has another shape.
    """
    image = f"images of {channels} x {size} x {size}"
    with frozen(network), torch.no_grad():
        try:
            logits = forward(network, torch.zeros(1, channels, size, size))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).partition(";")[0]
            raise UserError(f"network: cannot take {image}; change image_size ({reason})") from error
    if logits.shape != (1, classes):
        raise UserError(
            f"network: returns {tuple(logits.shape)} for one of the {image}; it must return (1, {classes}), one logit "
            "per class"
        )


def activation_bytes(network: nn.Module, image: torch.Tensor, precision: str = "float32") -> int:
    """Return the bytes that a forward pass keeps for the backward pass, per image.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    image : Tensor
        (1, channels, height, width).
    precision : str
        As for `forward`.
    """

    def bytes_kept(images: int) -> int:
        storages: dict[int, int] = {}

        def count(tensor: torch.Tensor) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            _logits = forward(
                network, image.expand(images, -1, -1, -1), precision
            )  # stays alive until everything is counted
        return sum(storages.values())

    return bytes_kept(2) - bytes_kept(1)  # parameters, and their copies for autocast, are kept once


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, with filters in channels-last memory and parameters without gradients."""
    modes = {module: module.training for module in network.modules()}
    trainable = {parameter: parameter.requires_grad for parameter in network.parameters()}
    filters = {conv.weight: conv.weight.data for conv in conv_layers(network).values()}
    try:
        network.eval().requires_grad_(False)
        for weight, data in filters.items():
            weight.data = data.contiguous(memory_format=torch.channels_last)
        yield
    finally:
        for weight, data in filters.items():
            weight.data = data
        for module, mode in modes.items():
            module.train(mode)
        for parameter, requires_grad in trainable.items():
            parameter.requires_grad_(requires_grad)
