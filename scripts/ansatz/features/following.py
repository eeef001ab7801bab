"""Follow what the linear maps of a network see and return while it runs."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from math import isqrt
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ansatz.networks.maps import LinearMap

FUNCTIONS = {functional.linear, torch.conv1d, torch.conv2d, torch.conv3d}  # what maps call with their input and weight


class Following(TorchFunctionMode):
    """Calls `observe` for each linear map that runs: a module, or a call of `FUNCTIONS` with the weight of one.

    A network may make such a call itself, as an attention does.

    Attributes
    ----------
    maps : mapping of str to LinearMap
    weights : dict of str to Tensor
        What holds the weight of each map when it runs; a layer may compute it from its parameter.
    """

    def __init__(self, maps: Mapping[str, LinearMap]) -> None:
        super().__init__()
        self.maps = maps
        self.weights = {layer: each.source.detach() for layer, each in maps.items()}
        self._inside: str | None = None  # the layer whose own forward runs

    def observe(self, parts: Mapping[str, slice], x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Take note of a call, and return its output.

        Parameters
        ----------
        parts : mapping of str to slice
            Layer -> the channels of the output that are its own.
        x : Tensor
            The input.
        output : Tensor
        """
        raise NotImplementedError

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Follow what the network computes itself with the weight of one of its maps."""
        if function is functional.multi_head_attention_forward:  # in which this mode is off
            with patch.object(functional, "linear", partial(self._call, functional.linear)):
                return function(*args, **(kwargs or {}))
        if function in FUNCTIONS:
            return self._call(function, *args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))

    def _call(self, function: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Call one of `FUNCTIONS`, and observe it if it is that of maps."""
        output, weight = function(*args, **kwargs), args[1] if len(args) > 1 else kwargs["weight"]
        if self._inside is None:
            parts = _parts_of(weight, self.maps)
            return self.observe(parts, args[0] if args else kwargs["input"], output) if parts else output
        if weight.shape == self.weights[self._inside].shape:
            self.weights[self._inside] = weight.detach()
        return output

    def run(self, layer: str, compute: Callable[..., torch.Tensor], *inputs: Any, **options: Any) -> torch.Tensor:
        """Run a module in place of its own forward: hooks of the user's then see its output, and come after."""
        before, self._inside = self._inside, layer
        try:
            output = compute(*inputs, **options)
        finally:
            self._inside = before
        return self.observe({layer: slice(None)}, inputs[0] if inputs else options["input"], output)


@contextmanager
def followed(
    following: Following, compute: Callable[[nn.Module], Callable[..., torch.Tensor] | None] = lambda module: None
) -> Iterator[None]:
    """Let a network's maps be followed, wherever the network runs inside.

    Parameters
    ----------
    following : Following
        It is to be entered too, around each run of the network.
    compute : callable, optional
        What to run in place of a module's forward; None for the module's own.
    """
    with ExitStack() as undo:
        undo.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)  # of one step, in which nothing could be followed
        if "torch._dynamo" in sys.modules:  # compiled modules run uncompiled, so that what is in them can be followed
            undo.enter_context(torch.compiler.set_stance("force_eager"))
        for layer, module in ((layer, each.module) for layer, each in following.maps.items()):
            if isinstance(module, nn.MultiheadAttention):
                continue  # which calls `linear` for several maps at once
            own = vars(module).get("forward")  # of this one module, not of its class
            forward = own or compute(module) or module.forward
            undo.callback(_restore, module, own)
            setattr(module, "forward", partial(following.run, layer, forward))  # noqa: B010  a method, for mypy
        yield


def laid_out(z: torch.Tensor) -> torch.Tensor:
    """Return what a map makes of one image, channels last, as (channels, rows, columns).

    Positions are (1, rows, columns, channels), or tokens, (..., channels), which lie like the patches of the image: if
    they fill a square, or do so after a first one, the class token, which is left out. Otherwise they are a row.
    """
    if z.dim() == 4:
        return z[0].movedim(-1, 0)
    tokens = z.flatten(0, -2)
    side = isqrt(len(tokens))
    if 0 <= len(tokens) - side**2 <= 1:
        return tokens[len(tokens) - side**2 :].mT.unflatten(1, (side, side))
    return tokens.mT.unsqueeze(1)


def _parts_of(weight: torch.Tensor, maps: Mapping[str, LinearMap]) -> dict[str, slice]:
    """Return the maps whose rows a weight holds: layer -> the channels of the output.

    An attention calls `linear` with its whole weight, or with rows of it, which lie in the same memory.
    """
    parts = {}
    for layer, each in maps.items():
        whole = each.source
        same_memory = weight.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
        if same_memory and weight.shape[1:] == whole.shape[1:] and weight.stride() == whole.stride():
            first = (weight.storage_offset() - whole.storage_offset()) // whole.stride(0)  # of the rows of the whole
            start, stop = each.rows.start - first, each.rows.stop - first
            if start >= 0 and stop <= len(weight):
                parts[layer] = slice(start, stop)
    return parts


def _restore(module: nn.Module, own: Any) -> None:
    delattr(module, "forward")
    if own:
        setattr(module, "forward", own)  # noqa: B010
