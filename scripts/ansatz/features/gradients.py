"""The gradients of logits by the outputs of a network's linear maps, and their second moments.

The graph that is differentiated starts at the maps' own outputs: an output that no earlier map's gradient passes
through starts it. So neither the images nor what a network does to them before a map need have gradients: they may be
whole numbers, be changed in place, or come from layers that run without gradients.
"""

import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeGuard
from unittest.mock import patch

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.nn import functional
from torch.nn.grad import conv2d_input
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import CheckpointFunction

from ansatz.errors import UserError
from ansatz.networks.evaluation import forward
from ansatz.networks.maps import CONVOLUTIONS, LinearMap, Selection, linear_maps

GRADIENT_BYTES = 2**26  # of a tensor behind the maps in all directions that are differentiated at once
FUNCTIONS = {functional.linear, torch.conv1d, torch.conv2d, torch.conv3d}  # what maps call with their input and weight


class Gradients(TorchFunctionMode):
    """Follows the outputs of a network's linear maps, and adds up the second moments of the gradients there.

    Also outputs of `FUNCTIONS` with a map's weight, where the network calls one itself, as an attention does.

    Attributes
    ----------
    maps : dict of str to LinearMap
    into : mapping of str to Tensor
        The sums by layer, (groups, out/groups, out/groups).
    outputs : set of Node
        The nodes of the last forward pass's graph that compute the outputs.
    reached : set of str
        The layers at which a gradient has arrived.
    weights : dict of str to Tensor
        What holds the weight of each map when it runs; a layer may compute it from its parameter.
    positions : Counter
        The positions to which each map has been applied, over all images.
    """

    def __init__(self, network: nn.Module, layers: Selection | None = CONVOLUTIONS) -> None:
        super().__init__()
        self.network, self.maps = network, linear_maps(network, layers)
        self.into: Mapping[str, torch.Tensor] = {}
        self.outputs: set[Node] = set()
        self.reached: set[str] = set()
        self.weights = {layer: each.source.detach() for layer, each in self.maps.items()}
        self.positions: Counter[str] = Counter()
        self._inside: str | None = None  # the layer whose own forward runs
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
        """Follow what the network computes itself with the weight of one of its maps."""
        output: Any
        if function is functional.multi_head_attention_forward:  # in which this mode is off
            with patch.object(functional, "linear", partial(self._call, functional.linear)):
                output = function(*args, **(kwargs or {}))
        elif function in FUNCTIONS:
            output = self._call(function, *args, **(kwargs or {}))
        else:
            output = function(*args, **(kwargs or {}))
        if isinstance(output, torch.Tensor) and output.layout is torch.strided:
            self._largest = max(self._largest, output.nbytes)
        return output

    def _call(self, function: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Call one of `FUNCTIONS`, and follow its output if it is that of maps."""
        output, weight = function(*args, **kwargs), args[1] if len(args) > 1 else kwargs["weight"]
        if self._inside is None:
            return self._follow(_parts_of(weight, self.maps), output)
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
        return self._follow({layer: slice(None)}, output)

    def _follow(self, parts: Mapping[str, slice], output: torch.Tensor) -> torch.Tensor:
        """Add up the gradients of an output; by its node, as an in-place ReLU overwrites the *tensor*.

        Layer -> the channels of the output that are its own.
        """
        if not parts:
            return output
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
        """Add the sum of ``g g.T`` over images and positions, g the gradient by these channels of the output."""
        into = self.into[layer]
        self.reached.add(layer)
        rows = gradients[0].movedim(self.maps[layer].axis, -1)[..., channels]
        z = rows.reshape(-1, rows.shape[-1]).to(into.dtype)  # (N, out): no copy in channels-last memory
        if len(into) == 1:
            into[0].addmm_(z.mT, z)  # baddbmm_ would copy z
        else:
            z = z.unflatten(1, (len(into), -1)).transpose(0, 1)  # (groups, N, out/groups)
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


@contextmanager
def gradients_of(
    network: nn.Module, precision: str = "float32", layers: Selection | None = CONVOLUTIONS
) -> Iterator[Gradients]:
    """Follow the maps of a network; with bfloat16, convolutions compute gradients in it, and outputs as always."""
    gradients = Gradients(network, layers)
    with ExitStack() as undo:
        undo.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)  # of one step, in which nothing could be followed
        if "torch._dynamo" in sys.modules:  # compiled modules run uncompiled, so that what is in them can be followed
            undo.enter_context(torch.compiler.set_stance("force_eager"))
        undo.enter_context(patch.object(CheckpointFunction, "apply", _run_now))
        for layer, module in ((layer, each.module) for layer, each in gradients.maps.items()):
            if isinstance(module, nn.MultiheadAttention):
                continue  # which calls `linear` for several maps at once
            own = vars(module).get("forward")  # of this one module, not of its class
            compute: Callable[..., torch.Tensor] = own or module.forward
            if precision == "bfloat16" and not own and _can_round(module):
                compute = partial(_Rounded.apply, module, module.weight.detach().bfloat16())
            undo.callback(_restore, module, own)
            setattr(module, "forward", partial(gradients.run, layer, compute))  # noqa: B010  a method, for mypy
        yield gradients


def _can_round(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether a module is a convolution as `conv2d_input` takes it."""
    if type(module) is not nn.Conv2d or type(module.weight) is not nn.Parameter:
        return False
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _run_now(function: Callable[..., Any], _preserve: bool, *inputs: Any) -> Any:
    """Run what a network checkpoints in the reentrant way, inside of which no graph can be followed."""
    return function(*inputs)


def _restore(module: nn.Module, own: Any) -> None:
    delattr(module, "forward")
    if own:
        setattr(module, "forward", own)  # noqa: B010


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
