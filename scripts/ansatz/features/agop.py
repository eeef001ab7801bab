"""The average gradient outer product (AGOP) of every linear map of a network.

A linear map has weight ``W`` and output ``z = W v_p + b`` at position ``p``: of a convolution, ``v_p`` is a patch of
``in_channels / groups * kh * kw`` entries; of a linear layer, or of an attention's queries, keys or values, a token.
Then, following Radhakrishnan, Beaglehole, Pandit and Belkin (2024), and for convolutions Beaglehole, Radhakrishnan,
Pandit and Belkin (2023), eq. (2):

* NFM ``= W.T @ W``. Its thin factor is ``W``.
* AGOP ``= 1/n sum_images sum_p sum_c g g.T``, ``g`` the gradient of logit ``c`` by ``v_p``, the input of this map
  alone. As ``g = W.T @ (gradient by z_p)``, it is ``W.T @ G @ W`` with ``G`` (out, out) the second moment of the
  gradients at the map's *output*: nothing is unfolded, and all maps come from the same backward passes.

With groups, each group of filters sees patches of its own channels, and each has its own matrix. So has each head of an
attention, for its queries, keys and values.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any, Literal

import torch
from torch import nn

from ansatz.data.batches import Images
from ansatz.devices import PRECISIONS
from ansatz.errors import UserError, listed
from ansatz.features.gradients import gradients_of
from ansatz.features.matrix import FeatureMatrix
from ansatz.networks.evaluation import activation_bytes, frozen, has_values, is_finite
from ansatz.networks.maps import LinearMap, Selection, linear_maps
from ansatz.seeds import derive_seed

LOG = logging.getLogger(__name__)
LARGE = 1024  # rows of a map, from where on moments are those of its inputs, if these are fewer
SHARES = 8  # of the probes; their scatter gives the standard error


@torch.inference_mode(False)
def agop(
    network: nn.Module,
    batches: Iterable[Any],
    *,
    probes: int | None = None,
    outputs: int | None = None,
    seed: int = 0,
    precision: str = "float32",
    layers: Selection | None = None,
    positions: Literal["sum", "mean"] = "sum",
) -> dict[str, FeatureMatrix]:
    """Return the average gradient outer product of every linear map, or of some of them.

    Each batch takes one forward pass. All directions of the logits are differentiated at once through the layers after
    the last map, which may be large and would otherwise be read again for each direction; from there on they are
    differentiated one by one. Each map adds up the gradients that pass its output, so that memory holds the gradients
    of one layer at a time.

    Parameters
    ----------
    network : nn.Module
        Maps images (n, channels, height, width) to logits (n, classes), each image independently of the others. It runs
        in evaluation mode, and is left as it was. Its output may hold the logits, as `ansatz.networks.evaluation`'s
        `logits_of` finds them.
    batches : iterable of Tensor or of (Tensor, ...); or Tensor
        Images, as a `torch.utils.data.DataLoader` yields them, with or without labels, on the network's device and of
        its type; or a single batch. The average is over all images, the sum over patches and logits. See `batch_size`.
    probes : int, optional
        None: exact, one direction per logit. K: each image's logits are combined with K random vectors ``v ~ N(0, I)``
        of its own; as ``E[v v.T] = I``, their mean is an unbiased estimate.

        The squared error of the estimate falls as ``1 / (K * images)``; the squared sampling error of the images falls
        as ``1 / images``. The time grows as about ``images * (1 + 2 K)`` forward passes. So where there are many
        images, use a few probes for each of them; where there are few, use many probes.
        `FeatureMatrix.standard_error` is the first of the two errors, from the scatter of up to `SHARES` shares of the
        probes.
    outputs : int, optional
        Sum over the first so many logits only; by default over all.
    seed : int
        Of the probes.
    precision : str
        One of `ansatz.devices.PRECISIONS`, for products of gradients. The forward pass is in float32, so that ReLU and
        max-pooling select the same entries, and second moments are summed in float32.
    layers : type, str, or sequence of them, optional
        Which maps, as for `ansatz.networks.maps.linear_maps`; by default all.
    positions : {"sum", "mean"}
        Whether the positions of an image, its patches or tokens, are added up or averaged over.

    Returns
    -------
    dict of str to FeatureMatrix
        By layer, factors (groups, rows of each group, inputs) of the network's type, at least float32. They are zero
        at layers where no gradient arrives, which the log names: those that do not run, that run without gradients, or
        whose outputs the network cuts from its graph; and where all gradients are zero, as below a head of zeros.

    Raises
    ------
    UserError
        If there are no images, they do not fit the network, a parameter, an image or a gradient is not finite, or an
        argument is out of range.
    """
    _check(network, probes, precision, positions)
    device_type = next((parameter.device.type for parameter in network.parameters()), "cpu")
    images = 0
    followed = gradients_of(network, linear_maps(network, layers), precision)
    with torch.autocast(device_type, enabled=False), frozen(network), followed as gradients:
        moments = {name: _zeros(each, min(probes or 1, SHARES)) for name, each in gradients.maps.items()}
        for x in [batches] if isinstance(batches, torch.Tensor) else batches:
            x = _images(x, network, images)  # (n, channels, height, width)
            if not len(x):
                continue
            with _run_by(network, x):
                logits = gradients.logits(x.clone())[:, :outputs]  # (n, classes); of a copy, which a network may change
            if len(logits) != len(x):
                raise UserError(f"AGOP: the network returns {len(logits)} rows of logits for {len(x)} images")
            with _products_in(precision):
                for share, directions in enumerate(_directions(logits, probes, seed, images)):  # (k, n, classes)
                    gradients.into = {name: moment[share] for name, moment in moments.items()}
                    gradients.differentiate(logits, directions)
            images += len(x)
            del logits  # frees what the forward pass kept, before the next one
        if not images:
            raise UserError("AGOP: there are no images to average over")
        for name, moment in moments.items():
            if not is_finite(moment):
                raise UserError(f"AGOP: the gradients at layer {name} are not finite; has the network diverged?")
        unreached = gradients.unreached()
        if unreached:
            LOG.warning("AGOP: no gradient arrives at %s, whose AGOP is zero", listed(unreached))
        if zero := [name for name, moment in moments.items() if name not in unreached and not moment.any()]:
            LOG.warning("AGOP: all gradients are zero at %s; is the last layer zero?", listed(zero))
        counts = gradients.positions if positions == "mean" else dict.fromkeys(gradients.maps, images)
        return {
            name: _agop_matrix(each, gradients.weights[name], moments[name], max(1, counts[name]), probes)
            for name, each in gradients.maps.items()
        }


def agop_over(
    network: nn.Module,
    images: Images,
    sample_size: int,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    **estimator: Any,
) -> dict[str, FeatureMatrix]:
    """Return `agop` over a random sample of the images, in batches as large as `images.memory` allows.

    Parameters
    ----------
    network : nn.Module
        On the images' device.
    images : Images
    sample_size : int
        Number of images (all of them, if there are fewer); the same images in every call.
    reduction : {"mean", "sum"}
        Whether to average over the images, as AGOP is defined, or to add up.
    **estimator
        `probes`, `outputs`, `seed`, `precision`, `layers` and `positions`, as for `agop`.
    """
    first, _ = next(images.batches(1))
    size = batch_size(network, first, images.memory, estimator.get("layers"))
    batches = images.batches(size, images.sample(sample_size, seed=0))
    matrices = agop(network, batches, **estimator)
    count = min(sample_size, len(images)) if reduction == "sum" else 1
    return {layer: matrix.scaled(count) for layer, matrix in matrices.items()}


@torch.inference_mode(False)
def batch_size(network: nn.Module, image: torch.Tensor, memory: int, layers: Selection | None = None) -> int:
    """Return the largest batch for which `agop` fits into `memory` bytes; `image` is (1, channels, height, width).

    Half of the memory is for what the forward pass keeps, and half for the gradients.
    """
    with frozen(network), gradients_of(network, linear_maps(network, layers)):
        return max(1, memory // max(1, 2 * activation_bytes(network, image.detach().clone())))


def _check(network: nn.Module, probes: int | None, precision: str, positions: str) -> None:
    if positions not in ("sum", "mean"):
        raise UserError(f"AGOP: positions {positions!r} is none of sum, mean")
    if precision not in PRECISIONS:
        raise UserError(f"AGOP: precision {precision!r} is none of {', '.join(PRECISIONS)}")
    if probes is not None and (isinstance(probes, bool) or not isinstance(probes, Integral) or probes < 1):
        raise UserError(f"AGOP: {probes} probes; use a whole number of at least 1, or None for the exact matrix")
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise UserError("AGOP: traced and scripted networks hide their layers; use the network that was traced")
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if not has_values(tensor):
            raise UserError(f"AGOP: {name} has no values yet; run the network on one batch, or load its weights")
        if tensor.is_inference():
            raise UserError(f"AGOP: {name} was made in inference mode, which keeps no gradients; use torch.no_grad()")
        if not is_finite(tensor):
            raise UserError(f"AGOP: {name} is not finite; has the network diverged?")


def _images(batch: Any, network: nn.Module, count: int) -> torch.Tensor:
    """Return the images of a batch, of which `count` came before."""
    x = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(x, torch.Tensor) or x.dim() < 2:
        what = f"a tensor {tuple(x.shape)}" if isinstance(x, torch.Tensor) else type(x).__name__
        raise UserError(f"AGOP: a batch is {what}; it must be images (n, channels, height, width), or a tuple of them")
    if not is_finite(x):
        raise UserError(f"AGOP: images {count} to {count + len(x) - 1} are not finite")
    return x.detach()


@contextmanager
def _run_by(network: nn.Module, x: torch.Tensor) -> Iterator[None]:
    """Report in one line that a network cannot take these images."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except UserError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        types = {parameter.dtype for parameter in network.parameters()}
        raise UserError(
            f"AGOP: the network, of {' and '.join(map(_type_name, types))}, cannot take images {tuple(x.shape)} of "
            f"{_type_name(x.dtype)}: {str(error).splitlines()[0]}"
        ) from error


def _type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


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


def _zeros(each: LinearMap, shares: int) -> torch.Tensor:
    dtype, patch = torch.promote_types(each.source.dtype, torch.float32), math.prod(each.shape)
    size = patch if each.filters > max(patch, LARGE) else each.filters
    return each.source.new_zeros(shares, each.groups, size, size, dtype=dtype)


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


def _agop_matrix(
    each: LinearMap, source: torch.Tensor, sums: torch.Tensor, count: int, probes: int | None
) -> FeatureMatrix:
    weight = each.grouped(source).to(sums.dtype)  # (groups, out/groups, patch)
    # in float64: moments have few large and many vanishing eigenvalues, where LAPACK may not converge in float32
    moments = sums.double()  # (shares, groups, out/groups, out/groups), or (shares, groups, patch, patch)
    root = _root(moments.sum(0) / (count * (probes or 1))).to(weight.dtype)
    of_inputs = sums.shape[2] != weight.shape[1]
    factor = root if of_inputs else root @ weight  # (groups, patch or out/groups, patch)
    error = _standard_error(None if of_inputs else weight.double(), moments, probes) if probes else 0.0
    return FeatureMatrix(factor, each.shape, error)


def _root(matrix: torch.Tensor) -> torch.Tensor:
    """Return R with ``R.T @ R`` the positive semidefinite matrix of each group."""
    values, vectors = torch.linalg.eigh(matrix)
    return values.clamp_min(0).sqrt().unsqueeze(2) * vectors.mT


def _standard_error(weight: torch.Tensor | None, moments: torch.Tensor, probes: int) -> float:
    """Return the relative standard error of ``W.T @ (sum of moments) @ W``, from the scatter of its terms.

    Without a weight, it is that of the sum of moments itself.

    Term s comes from k_s of K probes, each of variance v. So the sum of ``|term_s - k_s / K * sum|²`` has expectation
    ``v * (K - (sum of k_s²) / K)``, and the squared error of the sum is ``K * v``. It is relative to the norm of the
    exact matrix, whose square is that of the estimate less the squared error; infinite where nothing is left of it.
    """
    if weight is None:

        def squared(moment: torch.Tensor) -> float:
            return moment.square().sum().item()
    elif weight.shape[1] > weight.shape[2]:

        def squared(moment: torch.Tensor) -> float:
            return (weight.mT @ moment @ weight).square().sum().item()
    else:
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
    error = scatter / freedom
    exact = squared(total) - error
    return math.sqrt(error / exact) if exact > 0 else math.inf
