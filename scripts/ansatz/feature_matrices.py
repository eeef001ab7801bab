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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ansatz import store
from ansatz.errors import UserError
from ansatz.networks import conv_layers, geometry, patch_shape, weights_fingerprint
from ansatz.seeds import stream

Shape = tuple[int, int, int]  # of a patch: channels, rows, columns


@dataclass(frozen=True)
class FeatureMatrix:
    """A positive semidefinite matrix over patches, ``M = F.T @ F`` for each group of the convolution.

    Attributes
    ----------
    factor : Tensor
        F, (groups, rank, patch); a patch is flattened in the order channel, row, column, as a convolution's weight is.
    shape : tuple of int
        The patch's shape: channels that one group sees, rows, columns.
    """

    factor: torch.Tensor
    shape: Shape

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
        return replace(self, factor=s.sqrt().unsqueeze(2) * vt)


# ------------------------------------------------------------------------------------------------- NFM and AGOP
def nfm(network: nn.Module) -> dict[str, FeatureMatrix]:
    """Return the neural feature matrix ``W.T @ W`` of every convolution, by layer."""
    layers = conv_layers(network)
    return {name: FeatureMatrix(_grouped_weight(conv), patch_shape(conv)) for name, conv in layers.items()}


def agop(
    network: nn.Module, batches: Iterable[torch.Tensor], *, probes: int | None = None, seed: int = 0
) -> dict[str, FeatureMatrix]:
    """Return the average gradient outer product over patches of every convolution.

    Parameters
    ----------
    network : nn.Module
        Maps images (n, channels, height, width) to logits (n, classes), each image by itself (it is put in evaluation
        mode meanwhile). Its parameters and the images are of one floating type and on one device.
    batches : iterable of Tensor
        Images; the average is over all of them, the sum over patches and logits.
    probes : int, optional
        None: exact, one backward pass a logit. K: each image's logits are combined with K random vectors
        ``v ~ N(0, I)``; as ``E[v v.T] = I``, their mean is an unbiased estimate, from K backward passes. Its relative
        standard error falls as ``1 / sqrt(K * images)`` at best, so many images need few probes.
    seed : int
        Of the probes.

    Returns
    -------
    dict of str to FeatureMatrix
        By layer, factors (groups, out_channels / groups, patch) of the network's type; zero where no gradient arrives.

    Raises
    ------
    UserError
        If there is no image, or a gradient is not finite.
    """
    layers = conv_layers(network)
    moments: dict[str, torch.Tensor] = {}
    images = 0
    with _watched(network) as outputs:
        for x in batches:
            outputs.clear()
            with torch.enable_grad():
                logits = network(x.detach().requires_grad_())  # (n, classes)
            edges = [edge for _, edge in outputs]
            for last, direction in _directions(logits, probes, stream(seed, "probes", images)):
                gradients = torch.autograd.grad(logits, edges, direction, retain_graph=not last, allow_unused=True)
                for (name, _), gradient in zip(outputs, gradients, strict=True):
                    if gradient is not None:  # (n, out, height, width)
                        moment = _second_moment(gradient, layers[name].groups)
                        moments[name] = moments[name].add_(moment) if name in moments else moment
            images += len(x)
    if not images:
        raise UserError("AGOP: no images to average over")
    for name, moment in moments.items():
        if not bool(torch.isfinite(moment).all()):
            raise UserError(f"AGOP: the gradients at layer {name} are not finite; has the network diverged?")
    average = images * (probes or 1)
    return {
        name: FeatureMatrix(_agop_factor(conv, moments.get(name), average), patch_shape(conv))
        for name, conv in layers.items()
    }


def _grouped_weight(conv: nn.Conv2d) -> torch.Tensor:
    filters = conv.out_channels // conv.groups
    return conv.weight.detach().reshape(conv.groups, filters, -1)  # (groups, out/groups, patch)


def _second_moment(gradient: torch.Tensor, groups: int) -> torch.Tensor:
    z = gradient.transpose(0, 1).reshape(groups, gradient.shape[1] // groups, -1)  # (groups, out/groups, n*h*w)
    return z @ z.mT  # (groups, out/groups, out/groups)


def _agop_factor(conv: nn.Conv2d, moment: torch.Tensor | None, average: int) -> torch.Tensor:
    weight = _grouped_weight(conv)  # (groups, out/groups, patch)
    if moment is None:
        return torch.zeros_like(weight)
    # in float64: a moment has few large and many vanishing eigenvalues, on which LAPACK's float32 may not converge
    values, vectors = torch.linalg.eigh(moment.double() / average)
    root = values.clamp_min(0).sqrt().unsqueeze(2) * vectors.mT  # (groups, out/groups, out/groups)
    return root.to(weight.dtype) @ weight  # (groups, out/groups, patch)


def _directions(logits: torch.Tensor, probes: int | None, seed: int) -> Iterator[tuple[bool, torch.Tensor]]:
    """Yield what the logits are differentiated along, (n, classes), and whether it is the last."""
    if probes is None:
        for c in range(logits.shape[1]):
            direction = torch.zeros_like(logits)
            direction[:, c] = 1
            yield c == logits.shape[1] - 1, direction
    else:
        generator = torch.Generator().manual_seed(seed)  # on the CPU, so that a seed means one thing everywhere
        for k in range(probes):
            yield k == probes - 1, torch.randn(logits.shape, generator=generator, dtype=logits.dtype).to(logits.device)


@contextmanager
def _watched(network: nn.Module) -> Iterator[list[tuple[str, GradientEdge]]]:
    """Collect (layer, where gradients by its output pass) of each convolution that a forward pass meets.

    The edge is taken in the hook: an in-place ReLU that follows makes the output's *tensor* its own result.
    """
    outputs: list[tuple[str, GradientEdge]] = []
    training = {module: module.training for module in network.modules()}
    with ExitStack() as undo:
        for name, conv in conv_layers(network).items():

            def keep(_module: nn.Module, _inputs: tuple, output: torch.Tensor, name: str = name) -> None:
                outputs.append((name, get_gradient_edge(output)))

            undo.callback(conv.register_forward_hook(keep).remove)
        undo.callback(lambda: [module.train(mode) for module, mode in training.items()])
        network.eval()
        yield outputs


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
    store.write_features(path, store.Features(factors, layers, attributes), provenance)


def read(path: str | Path) -> dict[str, dict[str, FeatureMatrix]]:
    """Read ``features.h5``: ``matrices["nfm" | "agop"][layer]``, float32 on the CPU.

    For the dense matrix of a layer: ``read(path)["agop"]["features.0"].dense()``.
    """
    features = store.read_features(path)

    def shape(layer: str) -> Shape:
        attributes = features.layers[layer]
        rows, columns = attributes["kernel_size"]
        return int(attributes["in_channels"] // attributes["groups"]), int(rows), int(columns)

    return {
        kind: {name: FeatureMatrix(torch.from_numpy(factor), shape(name)) for name, factor in by.items()}
        for kind, by in features.factors.items()
    }


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
