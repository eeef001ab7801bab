"""The two feature matrices of a convolution, as thin factors, and what is asked of them.

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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.nn.grad import conv2d_input

from ansatz import store
from ansatz.batches import Images
from ansatz.devices import PRECISIONS
from ansatz.errors import UserError
from ansatz.networks import activation_bytes, conv_layers, forward, geometry, patch_shape, weights_fingerprint
from ansatz.seeds import stream

Shape = tuple[int, int, int]  # of a patch: channels, rows, columns
SHARES = 8  # of the probes, whose scatter gives the standard error
AT_ONCE = 2**26  # bytes of gradients, of many directions, where their ways part: little beside an image's activations


@dataclass(frozen=True)
class FeatureMatrix:
    """A positive semidefinite matrix over patches, ``M = F.T @ F`` for each group of the convolution.

    Attributes
    ----------
    factor : Tensor
        F, (groups, rank, patch); a patch is flattened in the order channel, row, column, as a convolution's weight is.
    shape : tuple of int
        The patch's shape: channels that one group sees, rows, columns.
    standard_error : float
        Of an estimate from random probes, relative to ``|M|``, both as Frobenius norms; 0 for a matrix that is exact,
        NaN where it is not known.
    """

    factor: torch.Tensor
    shape: Shape
    standard_error: float = 0.0

    @classmethod
    def of(cls, matrix: torch.Tensor, shape: Shape) -> "FeatureMatrix":
        """Return a dense positive semidefinite matrix, (patch, patch), over patches of that shape."""
        values, vectors = torch.linalg.eigh(matrix)
        factor = values.clamp_min(0).sqrt().unsqueeze(1) * vectors.mT  # (patch, patch)
        return cls(factor.unsqueeze(0), shape)

    def dense(self) -> torch.Tensor:
        """Return M itself, (groups, patch, patch): 4608 x 4608 in a VGG's last layers, so only on request."""
        return self.factor.mT @ self.factor

    def trace(self) -> torch.Tensor:
        """Return the trace of each group's matrix, (groups,)."""
        return self.factor.square().sum((1, 2))

    def scaled(self, by: float | torch.Tensor) -> "FeatureMatrix":
        """Return ``by * M``; `by` at least 0, a number or (groups,)."""
        root = torch.as_tensor(by, dtype=self.factor.dtype, device=self.factor.device).sqrt()
        return replace(self, factor=self.factor * root.view(-1, 1, 1))

    def square_root(self) -> "FeatureMatrix":
        """Return ``M^(1/2)``: from ``F = U S V.T`` it is ``V S V.T``, so its thin factor is ``S^(1/2) V.T``."""
        _, s, vt = torch.linalg.svd(self.factor, full_matrices=False)  # (groups, r), (groups, r, patch)
        error = math.nan if self.standard_error else 0.0
        return replace(self, factor=s.sqrt().unsqueeze(2) * vt, standard_error=error)


# ------------------------------------------------------------------------------------------------- NFM and AGOP
def nfm(network: nn.Module) -> dict[str, FeatureMatrix]:
    """Return the neural feature matrix ``W.T @ W`` of every convolution, by layer."""
    layers = conv_layers(network)
    return {name: FeatureMatrix(_grouped_weight(conv), patch_shape(conv)) for name, conv in layers.items()}


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

    One forward pass a batch. All directions of the logits go backward at once through what follows the convolutions,
    which is large and idle otherwise; from there one by one, and each convolution adds up what passes its output, so
    that no more than a layer's gradients are there at a time.

    Parameters
    ----------
    network : nn.Module
        Maps images (n, channels, height, width) to logits (n, classes), each image by itself (it is put in evaluation
        mode meanwhile). Its parameters and the images are of one floating type and on one device.
    batches : iterable of Tensor
        Images; the average is over all of them, the sum over patches and logits. `batch_size` says how many fit.
    probes : int, optional
        None: exact, one direction a logit. K: each image's logits are combined with K random vectors ``v ~ N(0, I)``
        of its own; as ``E[v v.T] = I``, their mean is an unbiased estimate.

        The squared error of the estimate falls as ``1 / (K * images)``; that of the images, as a sample of all there
        are, as ``1 / images``. The time grows with ``images * (1 + 2 K)``, about, in forward passes. So where images
        abound, a few probes for each of many images are the better use of time, and many probes for few images where
        they do not. `FeatureMatrix.standard_error` is the first error alone, from the scatter of up to `SHARES` shares
        of the probes.
    seed : int
        Of the probes.
    precision : str
        What gradients are multiplied in, of `ansatz.devices.PRECISIONS`. The forward pass is float32's, so that ReLU
        and pooling choose as they do there, and second moments are summed in float32.

    Returns
    -------
    dict of str to FeatureMatrix
        By layer, factors (groups, out_channels / groups, patch) of the network's type; zero where no gradient arrives.

    Raises
    ------
    UserError
        If there is no image, a weight or a gradient is not finite, or an argument is out of range.
    """
    _check(network, probes, precision)
    shares = min(probes or 1, SHARES)
    moments = {name: _zeros(conv, shares) for name, conv in conv_layers(network).items()}
    images = 0
    with frozen(network), _gradients_in(precision, network), _watched(network) as passed:
        for x in batches:
            if not len(x):
                continue
            x = x.detach().clone().requires_grad_()  # (n, channels, height, width); images of any mode
            with torch.enable_grad():
                logits = forward(network, x)  # (n, classes)
            if logits.dim() != 2:
                raise UserError(f"AGOP: logits are (n, classes), the network's are {tuple(logits.shape)}")
            with _products_in(precision):
                for share, directions in enumerate(_directions(logits, probes, seed, images)):  # (k, n, classes)
                    passed.into = {name: moment[share] for name, moment in moments.items()}
                    _pass_back(logits, directions, x, passed.outputs)
            images += len(x)
            del logits  # and with it what the forward pass kept, before the next one
            passed.outputs.clear()
    if not images:
        raise UserError("AGOP: no images to average over")
    for name, moment in moments.items():
        if not bool(torch.isfinite(moment).all()):
            raise UserError(f"AGOP: the gradients at layer {name} are not finite; has the network diverged?")
    average = images * (probes or 1)
    return {name: _agop_matrix(conv, moments[name], average, probes) for name, conv in conv_layers(network).items()}


def agop_over(network: nn.Module, images: Images, sample: int, **estimator: Any) -> dict[str, FeatureMatrix]:
    """Return `agop` over a sample of a dataset's part, in batches as large as its memory allows.

    Parameters
    ----------
    network : nn.Module
        On the images' device.
    images : Images
    sample : int
        How many images (or all, where there are fewer), always the same ones.
    **estimator
        As for `agop`.
    """
    one, _ = next(images.batches(1))
    batches = images.batches(batch_size(network, one, images.memory), images.sample(sample, seed=0))
    return agop(network, (x for x, _ in batches), **estimator)


@torch.inference_mode(False)
def batch_size(network: nn.Module, image: torch.Tensor, memory: int) -> int:
    """Return how many images `agop` can take at once in so many bytes; `image` is one of them, (1, channels, ...)."""
    with frozen(network):
        return max(1, memory // activation_bytes(network, image.detach().clone().requires_grad_()))


def _check(network: nn.Module, probes: int | None, precision: str) -> None:
    if precision not in PRECISIONS:
        raise UserError(f"AGOP: precision {precision!r} is none of {', '.join(PRECISIONS)}")
    if probes is not None and probes < 1:
        raise UserError(f"AGOP: {probes} probes; it takes one at least, or None for all directions")
    for name, conv in conv_layers(network).items():
        if not bool(torch.isfinite(conv.weight).all()):
            raise UserError(f"AGOP: the weights of layer {name} are not finite; has the network diverged?")


class _Convolution(torch.autograd.Function):
    """A convolution that passes gradients on in bfloat16."""

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
    """Let convolutions pass gradients on in bfloat16; whatever chooses by activations has those of float32."""
    if precision == "float32":
        yield
        return
    with ExitStack() as undo:
        for conv in conv_layers(network).values():
            plain = type(conv) is nn.Conv2d and "forward" not in vars(conv)
            if plain and conv.padding_mode == "zeros" and not isinstance(conv.padding, str):  # as conv2d_input has it
                rounded = partial(_Convolution.apply, conv, conv.weight.detach().bfloat16())
                setattr(conv, "forward", rounded)  # noqa: B010  for mypy, to which a method is no attribute
                undo.callback(delattr, conv, "forward")
        yield


@contextmanager
def _products_in(precision: str) -> Iterator[None]:
    """Multiply matrices of float32 as if they were of that precision, and sum in float32."""
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


def _grouped_weight(conv: nn.Conv2d) -> torch.Tensor:
    filters = conv.out_channels // conv.groups
    return conv.weight.detach().reshape(conv.groups, filters, -1)  # (groups, out/groups, patch)


def _directions(logits: torch.Tensor, probes: int | None, seed: int, first: int) -> Sequence[torch.Tensor]:
    """Return what the logits are differentiated along, (k, n, classes), in shares; `first` counts the images before.

    Each image has its own stream of probes, so that they are the same in batches of any size.
    """
    n, classes = logits.shape
    if probes is None:
        return [torch.eye(classes, dtype=logits.dtype, device=logits.device).unsqueeze(1).expand(-1, n, -1)]
    drawn = [
        torch.randn(probes, classes, generator=torch.Generator().manual_seed(stream(seed, "probes", first + i)))
        for i in range(n)
    ]
    return torch.stack(drawn, dim=1).to(logits).tensor_split(min(probes, SHARES))


class _SecondMoments:
    """Adds up second moments of the gradients that pass the convolutions' outputs.

    Attributes
    ----------
    into : mapping of str to Tensor
        By layer, what is added to: (groups, out/groups, out/groups).
    outputs : dict of Node to int
        Where gradients by the outputs of a forward pass arrive, and the bytes of each.
    """

    def __init__(self) -> None:
        self.into: Mapping[str, torch.Tensor] = {}
        self.outputs: dict[Node, int] = {}

    def watch(self, layer: str, _conv: nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        """Follow a convolution's output: its node, as an in-place ReLU makes the *tensor* its own result."""
        if output.grad_fn is not None:  # None where the network computes it without gradients
            output.grad_fn.register_prehook(partial(self.add, layer))
            self.outputs[output.grad_fn] = output.nbytes

    def add(self, layer: str, gradients: tuple[torch.Tensor, ...]) -> None:
        """Add the sum of ``g g.T`` over images and positions."""
        into = self.into[layer]
        z = gradients[0].movedim(-3, -1).flatten(0, -2)  # (N, out): no copy, where the channels are last in memory
        if len(into) == 1:
            into[0].addmm_(z.mT, z)  # as a batch of one it would be copied
        else:
            z = z.unflatten(1, (len(into), -1)).transpose(0, 1)  # (groups, N, out/groups)
            into.baddbmm_(z.mT, z)


@contextmanager
def _watched(network: nn.Module) -> Iterator[_SecondMoments]:
    """Watch the convolutions of a network."""
    sums = _SecondMoments()
    with ExitStack() as undo:
        for name, conv in conv_layers(network).items():
            undo.callback(conv.register_forward_hook(partial(sums.watch, name)).remove)
        yield sums


def _pass_back(logits: torch.Tensor, directions: torch.Tensor, x: torch.Tensor, outputs: Mapping[Node, int]) -> None:
    """Pass gradients of the logits along directions, (k, n, classes), back to the images."""
    if not outputs:
        return
    parting = _parting(logits, outputs)
    at_once = max(1, AT_ONCE // max(1, list(outputs.values())[-1]))  # by the last convolution: it is next to it
    for some in directions.split(at_once):
        (gradients,) = torch.autograd.grad(logits, [parting], some, retain_graph=True, is_grads_batched=True)
        for gradient in gradients:  # as at the last convolution's output, about
            torch.autograd.grad([parting], [x], gradient, retain_graph=True, allow_unused=True)


def _parting(logits: torch.Tensor, outputs: Container[Node]) -> GradientEdge:
    """Return how far all gradients of the logits go one way, before a convolution's output."""
    edge = get_gradient_edge(logits)
    while True:
        ways = [GradientEdge(node, number) for node, number in edge.node.next_functions if node is not None]
        if len(ways) != 1 or ways[0].node in outputs:
            return edge
        (edge,) = ways


def _agop_matrix(conv: nn.Conv2d, sums: torch.Tensor, average: int, probes: int | None) -> FeatureMatrix:
    weight = _grouped_weight(conv)  # (groups, out/groups, patch)
    # in float64: a moment has few large and many vanishing eigenvalues, on which LAPACK's float32 may not converge
    moments = sums.double()  # (shares, groups, out/groups, out/groups)
    values, vectors = torch.linalg.eigh(moments.sum(0) / average)
    root = values.clamp_min(0).sqrt().unsqueeze(2) * vectors.mT  # (groups, out/groups, out/groups)
    factor = root.to(weight.dtype) @ weight  # (groups, out/groups, patch)
    return FeatureMatrix(
        factor, patch_shape(conv), _standard_error(weight.double(), moments, probes) if probes else 0.0
    )


def _standard_error(weight: torch.Tensor, moments: torch.Tensor, probes: int) -> float:
    """Return the standard error of ``W.T @ (sum of moments) @ W``, relative to it, from the scatter of its terms.

    Term s comes from k_s of K probes, each of variance v. So the sum of ``|term_s - k_s / K * sum|²`` is on average
    ``v * (K - (sum of k_s²) / K)``, and the squared error of the sum is ``K * v``.
    """
    gram = weight @ weight.mT  # (groups, out/groups, out/groups)

    def squared(moment: torch.Tensor) -> float:
        product = moment @ gram  # as |W.T D W|² = tr(D G D G): nothing is as large as a patch squared
        return (product * product.mT).sum().item()

    shares = [len(share) / probes for share in torch.arange(probes).tensor_split(len(moments))]
    total = moments.sum(0)
    freedom = 1 - sum(share**2 for share in shares)
    if freedom == 0 or squared(total) == 0:
        return math.nan
    scatter = sum(squared(term - share * total) for term, share in zip(moments, shares, strict=True))
    return math.sqrt(scatter / freedom / squared(total))


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, its filters' channels last, and ask for no gradients of its parameters."""
    training = {module: module.training for module in network.modules()}
    learning = {parameter: parameter.requires_grad for parameter in network.parameters()}
    filters = {conv.weight: conv.weight.data for conv in conv_layers(network).values()}
    try:
        network.eval().requires_grad_(False)
        for weight, data in filters.items():
            weight.data = data.contiguous(memory_format=torch.channels_last)
        yield
    finally:
        for weight, data in filters.items():
            weight.data = data
        for module, mode in training.items():
            module.train(mode)
        for parameter, wanted in learning.items():
            parameter.requires_grad_(wanted)


# ------------------------------------------------------------------------------------------------- on file
def write(
    path: str | Path,
    network: nn.Module,
    matrices: Mapping[str, Mapping[str, FeatureMatrix]],
    provenance: Mapping[str, Any],
    **attributes: Any,
) -> None:
    """Write ``matrices["nfm" | "agop"][layer]`` of a network to ``features.h5``, with attributes of the whole file."""
    factors = {kind: {name: m.factor.float().cpu().numpy() for name, m in by.items()} for kind, by in matrices.items()}
    layers = {name: geometry(conv) for name, conv in conv_layers(network).items()}
    attributes["weights_fingerprint"] = weights_fingerprint(network)
    errors = {name: matrix.standard_error for name, matrix in matrices["agop"].items()}
    store.write_features(path, store.Features(factors, layers, attributes, errors), provenance)


def read(path: str | Path) -> dict[str, dict[str, FeatureMatrix]]:
    """Read ``features.h5``: ``matrices["nfm" | "agop"][layer]``, float32 on the CPU.

    For the dense matrix of a layer: ``read(path)["agop"]["features.0"].dense()``.
    """
    features = store.read_features(path)

    def matrix(kind: str, layer: str) -> FeatureMatrix:
        attributes = features.layers[layer]
        rows, columns = attributes["kernel_size"]
        shape = int(attributes["in_channels"] // attributes["groups"]), int(rows), int(columns)
        error = features.standard_errors[layer] if kind == "agop" else 0.0
        return FeatureMatrix(torch.from_numpy(features.factors[kind][layer]), shape, error)

    return {kind: {layer: matrix(kind, layer) for layer in by} for kind, by in features.factors.items()}


# ------------------------------------------------------------------------------------------------- comparing them
def cosine(a: FeatureMatrix, b: FeatureMatrix) -> float:
    """Return the cosine of two feature matrices as vectors of their entries; from the factors alone.

    ``<A, B> = |F_A F_B.T|²``, summed over groups. NaN where one of them is zero.
    """
    return _ratio(_inner(a, b), _inner(a, a), _inner(b, b))


def correlation(a: FeatureMatrix, b: FeatureMatrix) -> float:
    """Return the Pearson correlation of two feature matrices over their entries; from the factors alone.

    With ``s = sum of entries = |F 1|²`` and N entries, the centred inner product is ``<A, B> - s_A s_B / N``.
    NaN where all entries of one are equal.
    """
    entries = a.factor.shape[0] * a.factor.shape[2] ** 2

    def centred(x: FeatureMatrix, y: FeatureMatrix) -> float:
        return _inner(x, y) - _sum(x) * _sum(y) / entries

    return _ratio(centred(a, b), centred(a, a), centred(b, b))


def compare(
    initial: Mapping[str, Mapping[str, FeatureMatrix]], trained: Mapping[str, Mapping[str, FeatureMatrix]]
) -> list[dict[str, Any]]:
    """Ask of every convolution whether the ansatz holds: NFM and AGOP align, after training alone.

    Parameters
    ----------
    initial, trained : mapping
        ``matrices["nfm" | "agop"][layer]`` of a network before and after its training.

    Returns
    -------
    list of dict
        A row a layer: ``layer``, ``shape`` (of its patches, and its groups, where it has several), ``standard_error``
        (of the trained AGOP), and ``correlation_*`` and ``cosine_*`` of what `ansatz.store.COMPARED` names.
    """
    rows = []
    for layer in trained["nfm"]:
        found = {
            "nfm": trained["nfm"][layer],
            "agop": trained["agop"][layer],
            "root_agop": trained["agop"][layer].square_root(),
            "initial_nfm": initial["nfm"][layer],
            "initial_agop": initial["agop"][layer],
            "initial_root_agop": initial["agop"][layer].square_root(),
        }
        groups = len(found["nfm"].factor)
        shape = _written(found["nfm"].shape) + (f" in {groups} groups" if groups > 1 else "")
        row = {"layer": layer, "shape": shape, "standard_error": found["agop"].standard_error}
        for a, b in store.COMPARED:
            row[f"correlation_{a}_{b}"] = correlation(found[a], found[b])
            row[f"cosine_{a}_{b}"] = cosine(found[a], found[b])
        rows.append(row)
    return rows


def _inner(a: FeatureMatrix, b: FeatureMatrix) -> float:
    return (a.factor.double() @ b.factor.double().mT).square().sum().item()


def _sum(matrix: FeatureMatrix) -> float:
    return matrix.factor.double().sum(2).square().sum().item()


def _ratio(ab: float, aa: float, bb: float) -> float:
    return ab / math.sqrt(aa * bb) if aa > 0 and bb > 0 else math.nan


# ------------------------------------------------------------------------------------------------- matching layers
def match(
    wanted: Mapping[str, Shape], given: Mapping[str, Shape], chosen: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Find for each layer of a network the layer of another whose feature matrix it can take.

    Parameters
    ----------
    wanted, given : mapping of str to tuple
        The shape of each convolution's patch, in the network's order, of the network to fill and of the source.
    chosen : mapping of str to str, optional
        Layer -> layer of the source, as the user has it.

    Returns
    -------
    dict of str to str
        Layer -> layer of the source: as chosen; else in order, where the two have the same sequence of patches; else by
        patch, where exactly one layer of the source has it.

    Raises
    ------
    UserError
        If a layer has no counterpart or several; all layers of both are listed.
    """
    in_order = list(wanted.values()) == list(given.values())
    matched = dict(zip(wanted, given, strict=True)) if in_order else {}
    both = f"the network has {_listed(wanted)}; the source has {_listed(given)}"
    for layer, source in (chosen or {}).items():
        if layer not in wanted or given.get(source) != wanted[layer]:
            raise UserError(f"layers: {layer} cannot take {source}; {both}")
        matched[layer] = source
    for layer in (name for name in wanted if name not in matched):
        candidates = [name for name, shape in given.items() if shape == wanted[layer]]
        if len(candidates) != 1:
            found = f"could take {' or '.join(candidates)}: choose one in layers" if candidates else "finds none"
            raise UserError(f"source: layer {layer} with patches {_written(wanted[layer])} {found}; {both}")
        matched[layer] = candidates[0]
    return matched


def _listed(layers: Mapping[str, Shape]) -> str:
    return ", ".join(f"{name} {_written(patch)}" for name, patch in layers.items())


def _written(patch: Shape) -> str:
    return "x".join(map(str, patch))
