"""Evaluate a network: its logits, the memory of its activations, and evaluation mode."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from ansatz.devices import autocast
from ansatz.errors import UserError
from ansatz.networks.layers import conv_layers
from ansatz.registry import blamed

CANNOT = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AssertionError,
)  # raised by networks for images of a wrong size
SMALL = range(8, 65)  # sides of images, in pixels, among which the smallest is looked for that a network takes


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
        (n, classes). Where the network returns several outputs, its ``logits``, or else the first.

    Raises
    ------
    UserError
        If it returns no tensor.
    """
    x = x.contiguous(memory_format=memory_format(network)) if x.dim() == 4 else x
    with autocast(x.device, precision):
        logits = logits_of(network(x))
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def logits_of(output: Any) -> torch.Tensor:
    """Return the logits in a network's output: the output itself, its ``logits``, or else the first of several.

    Raises
    ------
    UserError
        If there is no tensor there.
    """
    logits = output
    if isinstance(output, Mapping):
        logits = output.get("logits", next(iter(output.values()), None))
    elif not isinstance(output, torch.Tensor):
        logits = getattr(output, "logits", output[0] if isinstance(output, Sequence) and output else None)
    if not isinstance(logits, torch.Tensor):
        raise UserError(f"network: returns {type(output).__name__}; it must return logits, a tensor (n, classes)")
    return logits


def memory_format(network: nn.Module) -> torch.memory_format:
    """Return the layout of images and filters in memory that is fastest and right.

    Channels last is the fastest. But PyTorch's gradient of an instance norm is wrong there for one image, and that
    of a strided convolution of 1 x 1 with fewer than 16 input channels writes beyond its memory on a CPU
    (https://github.com/uxlfoundation/oneDNN/issues/6035).
    """
    is_wrong = any(isinstance(module, _InstanceNorm) or _is_narrow(module) for module in network.modules())
    return torch.contiguous_format if is_wrong else torch.channels_last


def _is_narrow(module: nn.Module) -> bool:
    """Whether a module is a strided convolution of 1 x 1 with few input channels."""
    if not isinstance(module, nn.Conv2d):
        return False
    return module.kernel_size == (1, 1) and module.stride != (1, 1) and module.in_channels // module.groups < 16


def has_values(tensor: torch.Tensor) -> bool:
    """Return whether a parameter or buffer has values: those of lazy layers, and of the meta device, have none."""
    return not (is_lazy(tensor) or tensor.is_meta)


def is_finite(tensor: torch.Tensor) -> bool:
    """Return whether all entries are finite; `torch.isfinite` would take as much memory again."""
    if not tensor.is_floating_point() or not tensor.numel() or tensor.layout is not torch.strided:
        return True
    smallest, largest = tensor.detach().aminmax()  # NaN if there is one
    return bool(smallest.isfinite() & largest.isfinite())


def check_logits(network: nn.Module, classes: int, *, channels: int, size: int) -> None:
    """Refuse a network that does not map each image to one logit per class.

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
        If it does not take such images, its output has another shape, or it has nothing to train.
    """
    images = f"images of {channels} x {size} x {size}"
    parameters = dict(network.named_parameters())
    for name, parameter in parameters.items():
        if not has_values(parameter) or parameter.dtype != torch.float32:
            kind = f"is {parameter.dtype}" if has_values(parameter) else "has no values yet"
            raise UserError(f"network: {name} {kind}; it must be float32, with values, on the CPU")
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise UserError("network: no parameter has requires_grad, so that nothing would be trained")
    with frozen(network), torch.no_grad():
        try:
            logits = forward(network, torch.zeros(2, channels, size, size))
        except (UserError, torch.OutOfMemoryError):
            raise
        except CANNOT as error:
            if blame := blamed(error):
                raise UserError(blame) from error
            reason, smallest = str(error).partition(";")[0], smallest_side(network, channels)
            change = (
                f"change image_size to at least {smallest}" if smallest and smallest > size else "change image_size"
            )
            raise UserError(f"network: cannot take {images}; {change} ({reason})") from error
    if logits.shape != (2, classes):
        raise UserError(
            f"network: returns {tuple(logits.shape)} for two {images}; it must return (2, {classes}), one logit for "
            "each class and image"
        )


@torch.no_grad()
def smallest_side(network: nn.Module, channels: int) -> int | None:
    """Return the side of the smallest images that a network takes, of those in `SMALL`; None if it takes none of them.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; also on the meta device, where nothing is computed.
    channels : int
    """
    device = next(network.parameters(), torch.empty(0)).device
    for side in SMALL:
        try:
            network(torch.zeros(2, channels, side, side, device=device))
        except CANNOT:
            continue
        return side
    return None


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
            return tensor.detach()  # the tensor itself would refer to the graph that keeps it, and both stay for ever

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            _logits = forward(
                network, image.expand(images, -1, -1, -1), precision
            )  # stays alive until everything is counted
        return sum(storages.values())

    return bytes_kept(2) - bytes_kept(1)  # parameters, and their copies for autocast, are kept once


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode; weights that are computed, as by spectral norm, are computed once."""
    modes = {module: module.training for module in network.modules()}
    try:
        network.eval()
        with parametrize.cached():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, with filters in its `memory_format` and parameters without gradients."""
    trainable = {parameter: parameter.requires_grad for parameter in network.parameters()}
    layout = memory_format(network)
    with evaluating(network):
        network.requires_grad_(False)
        parameters = [conv.weight for conv in conv_layers(network).values() if isinstance(conv.weight, nn.Parameter)]
        filters = {weight: weight.data for weight in parameters}
        try:
            for weight, data in filters.items():
                weight.data = data.contiguous(memory_format=layout)
            yield
        finally:
            for weight, data in filters.items():
                weight.data = data
            for parameter, requires_grad in trainable.items():
                parameter.requires_grad_(requires_grad)
