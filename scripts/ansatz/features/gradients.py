"""The gradients of logits by the outputs of a network's linear maps, and their second moments.

The graph that is differentiated starts at the maps' own outputs: an output that no earlier map's gradient passes
through starts it. So neither the images nor what a network does to them before a map need have gradients: they may be
whole numbers, be changed in place, or come from layers that run without gradients.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeGuard
from unittest.mock import patch

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.nn.grad import conv2d_input
from torch.utils.checkpoint import CheckpointFunction

from ansatz.errors import UserError
from ansatz.features.following import Following, followed
from ansatz.networks.evaluation import forward
from ansatz.networks.maps import LinearMap

GRADIENT_BYTES = 2**26  # of a tensor behind the maps in all directions that are differentiated at once


class Gradients(Following):
    """Follows the outputs of a network's linear maps, and adds up the second moments of the gradients there.

    Attributes
    ----------
    into : mapping of str to Tensor
        The sums by layer, (groups, out/groups, out/groups); or (groups, patch, patch), of gradients by the inputs.
    outputs : set of Node
        The nodes of the last forward pass's graph that compute the outputs.
    reached : set of str
        The layers at which a gradient has arrived.
    positions : Counter
        The positions to which each map has been applied, over all images.
    """

    def __init__(self, network: nn.Module, maps: Mapping[str, LinearMap]) -> None:
        super().__init__(maps)
        self.network = network
        self.into: Mapping[str, torch.Tensor] = {}
        self.outputs: set[Node] = set()
        self.reached: set[str] = set()
        self.positions: Counter[str] = Counter()
        self._largest = 1  # bytes of a tensor behind the last map
        self._anchor = torch.zeros((), requires_grad=True)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of images, (n, classes), with the graph from the maps' outputs on.

        Raises
        ------
        UserError
            If the network cannot take the images, or its output is no such tensor.
        """
        self.outputs.clear()
        self._anchor = torch.zeros((), device=x.device, requires_grad=True)
        with torch.enable_grad(), self:
            logits = forward(self.network, x)
        if logits.dim() != 2 or not logits.shape[1]:
            raise UserError(f"AGOP: the network must return logits (n, classes); it returns {tuple(logits.shape)}")
        return logits

    def differentiate(self, logits: torch.Tensor, directions: torch.Tensor) -> None:
        """Differentiate the logits in these directions, (k, n, classes), back to where the graph starts."""
        if not self.outputs or logits.grad_fn is None:
            return
        fork = _fork(logits, self.outputs)
        for directions_at_once in directions.split(max(1, GRADIENT_BYTES // self._largest)):
            for gradient in _at_fork(logits, fork, directions_at_once):
                torch.autograd.grad([fork], [self._anchor], gradient, retain_graph=True, allow_unused=True)

    def unreached(self) -> list[str]:
        """Return the layers at which no gradient has arrived."""
        return [layer for layer in self.maps if layer not in self.reached]

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Also look how large tensors are."""
        output = super().__torch_function__(function, types, args, kwargs)
        if isinstance(output, torch.Tensor) and output.layout is torch.strided:
            self._largest = max(self._largest, output.nbytes)
        return output

    def observe(self, parts: Mapping[str, slice], x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Add up the gradients of an output; by its node, as an in-place ReLU overwrites the *tensor*."""
        for layer in parts:
            self.positions[layer] += output.numel() // output.shape[self.maps[layer].axis]
        if not _descends_from(output.grad_fn, self.outputs):
            output = _Start.apply(self._anchor, output.detach())
        if output.grad_fn is not None:  # None where the network computes without gradients
            for layer, channels in parts.items():
                output.grad_fn.register_prehook(partial(self.add, layer, channels))
            self.outputs.add(output.grad_fn)
            self._largest = output.nbytes
        return output

    def add(self, layer: str, channels: slice, gradients: tuple[torch.Tensor, ...]) -> None:
        """Add the sum of ``g g.T`` over images and positions, g the gradient by these channels of the output.

        Where the sums are those of the inputs, g is that times the weight.
        """
        into = self.into[layer]
        self.reached.add(layer)
        rows = self.maps[layer].of_output(gradients[0], channels)
        z = rows.reshape(-1, rows.shape[-1]).to(into.dtype)  # (N, out): no copy in channels-last memory
        of_inputs = into.shape[1] * len(into) != z.shape[1]
        if len(into) == 1 and not of_inputs:
            into[0].addmm_(z.mT, z)  # baddbmm_ would copy z
            return
        z = z.unflatten(1, (len(into), -1)).transpose(0, 1)  # (groups, N, out/groups)
        if of_inputs:
            z = z @ self.maps[layer].grouped(self.weights[layer]).to(z.dtype)  # (groups, N, patch)
        into.baddbmm_(z.mT, z)


class _Start(torch.autograd.Function):
    """The identity, at which the graph starts: the gradients that arrive end at the anchor, a scalar."""

    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0].new_zeros(()), None


class _Rounded(torch.autograd.Function):
    """A convolution whose input's gradient is computed in bfloat16."""

    @staticmethod
    def forward(ctx: Any, conv: nn.Conv2d, rounded: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        ctx.conv, ctx.rounded, ctx.shape = conv, rounded, x.shape
        return nn.Conv2d.forward(conv, x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, None, torch.Tensor]:
        geometry = ctx.conv.stride, ctx.conv.padding, ctx.conv.dilation, ctx.conv.groups
        gradient = conv2d_input(ctx.shape, ctx.rounded, gradients[0].bfloat16(), *geometry)
        return None, None, gradient.to(gradients[0].dtype)


@contextmanager
def gradients_of(network: nn.Module, maps: Mapping[str, LinearMap], precision: str = "float32") -> Iterator[Gradients]:
    """Follow the maps of a network; with bfloat16, convolutions compute gradients in it, and outputs as always."""

    def compute(module: nn.Module) -> Callable[..., torch.Tensor] | None:
        if precision == "bfloat16" and _can_round(module):
            return partial(_Rounded.apply, module, module.weight.detach().bfloat16())
        return None

    gradients = Gradients(network, maps)
    with followed(gradients, compute), patch.object(CheckpointFunction, "apply", _run_now):
        yield gradients


def _can_round(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether a module is a convolution as `conv2d_input` takes it."""
    if type(module) is not nn.Conv2d or type(module.weight) is not nn.Parameter:
        return False
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _run_now(function: Callable[..., Any], _preserve: bool, *inputs: Any) -> Any:
    """Run what a network checkpoints in the reentrant way, inside of which no graph can be followed."""
    return function(*inputs)


def _at_fork(logits: torch.Tensor, fork: GradientEdge, directions: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the gradients at the fork in each of the directions (k, n, classes)."""
    differentiate = partial(torch.autograd.grad, logits, [fork], retain_graph=True)
    gradients: Iterable[torch.Tensor]
    try:
        (gradients,) = differentiate(directions, is_grads_batched=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # a function of the network's own cannot be differentiated in all directions at once
        gradients = (differentiate(direction)[0] for direction in directions)
    yield from gradients


def _descends_from(node: Node | None, outputs: Container[Node]) -> bool:
    """Return whether a node's gradients pass one of the outputs."""
    seen, following = set(), [node] if node else []
    while following:
        if (node := following.pop()) in outputs:
            return True
        seen.add(node)
        following += [other for other, _ in node.next_functions if other is not None and other not in seen]
    return False


def _fork(logits: torch.Tensor, outputs: Container[Node]) -> GradientEdge:
    """Return the last edge that all gradients of the logits pass, before they branch or reach a map."""
    edge = get_gradient_edge(logits)
    while edge.node not in outputs:
        following = [GradientEdge(node, number) for node, number in edge.node.next_functions if node is not None]
        if len(following) != 1 or following[0].node in outputs:
            return edge
        (edge,) = following
    return edge
