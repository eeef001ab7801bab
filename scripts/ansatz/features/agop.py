"""The average gradient outer product (AGOP) of every convolution of a network.

A convolution has weight ``W`` (out, patch), ``patch = in_channels / groups * kh * kw``, and output ``z = W v_p + b`` at
patch position ``p``. Then, following Beaglehole, Radhakrishnan, Pandit and Belkin (2023), eq. (2):

* NFM ``= W.T @ W``. Its thin factor is ``W``.
* AGOP over patches ``= 1/n sum_images sum_p sum_c g g.T``, ``g`` the gradient of logit ``c`` by the patch ``v_p``. As
  ``g = W.T @ (gradient by z_p)``, it is ``W.T @ G @ W`` with ``G`` (out, out) the second moment of the gradients at the
  layer's *output*: nothing is unfolded, and all layers come from the same backward passes.

With groups, each group of filters sees patches of its own channels, and each has its own matrix.
"""

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.nn.grad import conv2d_input

from ansatz.data.batches import Images
from ansatz.devices import PRECISIONS
from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix, grouped_weight
from ansatz.networks.evaluation import activation_bytes, forward, frozen
from ansatz.networks.layers import conv_layers, patch_shape
from ansatz.seeds import derive_seed

SHARES = 8  # of the probes; their scatter gives the standard error
GRADIENT_BYTES = 2**26  # of all directions together at the fork: little compared with the activations of a batch


@torch.inference_mode(False)
def agop(
    network: nn.Module,
    batches: Iterable[torch.Tensor],
    *,
    probes: int | None = None,
    seed: int = 0,
    precision: str = "float32",
) -> dict[str, FeatureMatrix]:
    """Return the average gradient outer product over patches of every convolution.

    Each batch takes one forward pass. All directions of the logits are differentiated at once through the layers after
    the convolutions, which are large and would otherwise be read again for each direction; from there on they are
    differentiated one by one. Each convolution adds up the gradients that pass its output, so that memory holds the
    gradients of one layer at a time.

    Parameters
    ----------
    network : nn.Module
        Maps images (n, channels, height, width) to logits (n, classes), each image independently of the others. It runs
        in evaluation mode. Its parameters and the images share one floating-point type and one device.
    batches : iterable of Tensor
        Images; the average is over all of them, the sum over patches and logits. See `batch_size`.
    probes : int, optional
        None: exact, one direction per logit. K: each image's logits are combined with K random vectors ``v ~ N(0, I)``
        of its own; as ``E[v v.T] = I``, their mean is an unbiased estimate.

        The squared error of the estimate falls as ``1 / (K * images)``; the squared sampling error of the images falls
        as ``1 / images``. The time grows as about ``images * (1 + 2 K)`` forward passes. So where there are many
        images, use a few probes for each of them; where there are few, use many probes.
        `FeatureMatrix.standard_error` is the first of the two errors, from the scatter of up to `SHARES` shares of the
        probes.
    seed : int
        Of the probes.
    precision : str
        One of `ansatz.devices.PRECISIONS`, for products of gradients. The forward pass is in float32, so that ReLU and
        max-pooling select the same entries, and second moments are summed in float32.

    Returns
    -------
    dict of str to FeatureMatrix
        By layer, factors (groups, out_channels / groups, patch) of the network's type; zero where no gradient arrives.

    Raises
    ------
    UserError
        If there are no images, a weight or a gradient is not finite, or an argument is out of range.
    """
    _check(network, probes, precision)
    shares = min(probes or 1, SHARES)
    moments = {name: _zeros(conv, shares) for name, conv in conv_layers(network).items()}
    images = 0
    with frozen(network), _gradients_in(precision, network), _second_moments(network) as sums:
        for x in batches:
            if not len(x):
                continue
            x = x.detach().clone().requires_grad_()  # (n, channels, height, width); also of inference mode
            with torch.enable_grad():
                logits = forward(network, x)  # (n, classes)
            if logits.dim() != 2:
                raise UserError(f"AGOP: the network must return logits (n, classes); it returns {tuple(logits.shape)}")
            with _products_in(precision):
                for share, directions in enumerate(_directions(logits, probes, seed, images)):  # (k, n, classes)
                    sums.into = {name: moment[share] for name, moment in moments.items()}
                    _differentiate(logits, directions, x, sums.outputs)
            images += len(x)
            del logits  # frees what the forward pass kept, before the next one
            sums.outputs.clear()
    if not images:
        raise UserError("AGOP: there are no images to average over")
    for name, moment in moments.items():
        if not bool(torch.isfinite(moment).all()):
            raise UserError(f"AGOP: the gradients at layer {name} are not finite; has the network diverged?")
    count = images * (probes or 1)
    return {name: _agop_matrix(conv, moments[name], count, probes) for name, conv in conv_layers(network).items()}


def agop_over(network: nn.Module, images: Images, sample_size: int, **estimator: Any) -> dict[str, FeatureMatrix]:
    """Return `agop` over a random sample of the images, in batches as large as `images.memory` allows.

    Parameters
    ----------
    network : nn.Module
        On the images' device.
    images : Images
    sample_size : int
        Number of images (all of them, if there are fewer); the same images in every call.
    **estimator
        `probes`, `seed` and `precision`, as for `agop`.
    """
    first, _ = next(images.batches(1))
    batches = images.batches(batch_size(network, first, images.memory), images.sample(sample_size, seed=0))
    return agop(network, (x for x, _ in batches), **estimator)


@torch.inference_mode(False)
def batch_size(network: nn.Module, image: torch.Tensor, memory: int) -> int:
    """Return the largest batch for which `agop` fits into `memory` bytes; `image` is (1, channels, height, width)."""
    with frozen(network):
        return max(1, memory // activation_bytes(network, image.detach().clone().requires_grad_()))


def _check(network: nn.Module, probes: int | None, precision: str) -> None:
    if precision not in PRECISIONS:
        raise UserError(f"AGOP: precision {precision!r} is none of {', '.join(PRECISIONS)}")
    if probes is not None and probes < 1:
        raise UserError(f"AGOP: {probes} probes; use at least 1, or None for the exact matrix")
    for name, conv in conv_layers(network).items():
        if not bool(torch.isfinite(conv.weight).all()):
            raise UserError(f"AGOP: the weights of layer {name} are not finite; has the network diverged?")


class _Convolution(torch.autograd.Function):
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
def _gradients_in(precision: str, network: nn.Module) -> Iterator[None]:
    """Let convolutions compute gradients in this precision; their outputs stay those of float32."""
    if precision == "float32":
        yield
        return
    with ExitStack() as undo:
        for conv in conv_layers(network).values():
            plain = type(conv) is nn.Conv2d and "forward" not in vars(conv)
            if (
                plain and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
            ):  # conv2d_input takes no other
                rounded = partial(_Convolution.apply, conv, conv.weight.detach().bfloat16())
                setattr(conv, "forward", rounded)  # noqa: B010  for mypy, to which a method is no attribute
                undo.callback(delattr, conv, "forward")
        yield


@contextmanager
def _products_in(precision: str) -> Iterator[None]:
    """Round the factors of float32 matrix products to this precision; sums stay in float32."""
    before = torch.get_float32_matmul_precision()
    if precision == "bfloat16":
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _zeros(conv: nn.Conv2d, shares: int) -> torch.Tensor:
    filters = conv.out_channels // conv.groups
    return conv.weight.new_zeros(shares, conv.groups, filters, filters)


def _directions(logits: torch.Tensor, probes: int | None, seed: int, first: int) -> Sequence[torch.Tensor]:
    """Return the directions in which logits are differentiated, in shares (k, n, classes).

    Each image, counted from `first`, has its own random stream, so that probes do not depend on the batch size.
    """
    n, classes = logits.shape
    if probes is None:
        return [torch.eye(classes, dtype=logits.dtype, device=logits.device).unsqueeze(1).expand(-1, n, -1)]
    drawn = [
        torch.randn(probes, classes, generator=torch.Generator().manual_seed(derive_seed(seed, "probes", first + i)))
        for i in range(n)
    ]
    return torch.stack(drawn, dim=1).to(logits).tensor_split(min(probes, SHARES))


class _SecondMoments:
    """Sums of the second moments of the gradients at the convolutions' outputs.

    Attributes
    ----------
    into : mapping of str to Tensor
        The sums by layer, (groups, out/groups, out/groups).
    outputs : dict of Node to int
        The nodes of the last forward pass's graph that compute the outputs -> bytes of the output.
    """

    def __init__(self) -> None:
        self.into: Mapping[str, torch.Tensor] = {}
        self.outputs: dict[Node, int] = {}

    def follow(self, layer: str, _conv: nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        """Add the gradients of a convolution's output; by its node, as an in-place ReLU overwrites the *tensor*."""
        if output.grad_fn is not None:  # None if the network computes without gradients
            output.grad_fn.register_prehook(partial(self.add, layer))
            self.outputs[output.grad_fn] = output.nbytes

    def add(self, layer: str, gradients: tuple[torch.Tensor, ...]) -> None:
        """Add the sum of ``g g.T`` over images and positions."""
        into = self.into[layer]
        z = gradients[0].movedim(-3, -1).flatten(0, -2)  # (N, out): no copy in channels-last memory
        if len(into) == 1:
            into[0].addmm_(z.mT, z)  # baddbmm_ would copy z
        else:
            z = z.unflatten(1, (len(into), -1)).transpose(0, 1)  # (groups, N, out/groups)
            into.baddbmm_(z.mT, z)


@contextmanager
def _second_moments(network: nn.Module) -> Iterator[_SecondMoments]:
    """Sum second moments at the outputs of a network's convolutions."""
    sums = _SecondMoments()
    with ExitStack() as undo:
        for name, conv in conv_layers(network).items():
            undo.callback(conv.register_forward_hook(partial(sums.follow, name)).remove)
        yield sums


def _differentiate(
    logits: torch.Tensor, directions: torch.Tensor, x: torch.Tensor, outputs: Mapping[Node, int]
) -> None:
    """Differentiate the logits in these directions, (k, n, classes), back to the images x."""
    if not outputs:
        return
    fork = _fork(logits, outputs)
    # a gradient at the fork is about as large as the last convolution's output, which is next to it
    chunk = max(1, GRADIENT_BYTES // max(1, list(outputs.values())[-1]))
    for directions_at_once in directions.split(chunk):
        (gradients,) = torch.autograd.grad(logits, [fork], directions_at_once, retain_graph=True, is_grads_batched=True)
        for gradient in gradients:
            torch.autograd.grad([fork], [x], gradient, retain_graph=True, allow_unused=True)


def _fork(logits: torch.Tensor, outputs: Container[Node]) -> GradientEdge:
    """Return the last edge that all gradients of the logits pass, before they branch or reach a convolution."""
    edge = get_gradient_edge(logits)
    while True:
        following = [GradientEdge(node, number) for node, number in edge.node.next_functions if node is not None]
        if len(following) != 1 or following[0].node in outputs:
            return edge
        (edge,) = following


def _agop_matrix(conv: nn.Conv2d, sums: torch.Tensor, count: int, probes: int | None) -> FeatureMatrix:
    weight = grouped_weight(conv)  # (groups, out/groups, patch)
    # in float64: moments have few large and many vanishing eigenvalues, where LAPACK may not converge in float32
    moments = sums.double()  # (shares, groups, out/groups, out/groups)
    values, vectors = torch.linalg.eigh(moments.sum(0) / count)
    root = values.clamp_min(0).sqrt().unsqueeze(2) * vectors.mT  # (groups, out/groups, out/groups)
    factor = root.to(weight.dtype) @ weight  # (groups, out/groups, patch)
    error = _standard_error(weight.double(), moments, probes) if probes else 0.0
    return FeatureMatrix(factor, patch_shape(conv), error)


def _standard_error(weight: torch.Tensor, moments: torch.Tensor, probes: int) -> float:
    """Return the relative standard error of ``W.T @ (sum of moments) @ W``, from the scatter of its terms.

    Term s comes from k_s of K probes, each of variance v. So the sum of ``|term_s - k_s / K * sum|²`` has expectation
    ``v * (K - (sum of k_s²) / K)``, and the squared error of the sum is ``K * v``.
    """
    gram = weight @ weight.mT  # (groups, out/groups, out/groups)

    def squared(moment: torch.Tensor) -> float:
        product = moment @ gram  # as |W.T D W|² = tr(D G D G): no (patch, patch) matrix is made
        return (product * product.mT).sum().item()

    shares = [len(share) / probes for share in torch.arange(probes).tensor_split(len(moments))]
    total = moments.sum(0)
    freedom = 1 - sum(share**2 for share in shares)
    if freedom == 0 or squared(total) == 0:
        return math.nan
    scatter = sum(squared(term - share * total) for term, share in zip(moments, shares, strict=True))
    return math.sqrt(scatter / freedom / squared(total))
