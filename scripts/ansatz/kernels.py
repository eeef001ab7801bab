"""Kernels of images by their patches, and the average gradient outer product (AGOP) of what they predict.

The kernels of a convolutional network of infinite width whose read-out is flat compare the patches of two images at the
*same* position only, and so does the Laplace patch kernel of Beaglehole, Radhakrishnan, Pandit and Belkin (2023). Each
is a function of three numbers a position ``p``::

    q12 = s (F v_p) . (F w_p)      q11 = s |F v_p|²      q22 = s |F w_p|²

with `F` the thin factor of a feature matrix ``M = F.T @ F``, or nothing, and `s` the kernel's scale. A kernel is a
class with the functions of these numbers that `Kernel` names; all else, tiles, gradients and AGOP, follows. Positions
come first in all arrays, so that sums over neighbouring positions run over long rows.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch.fx.experimental import _config as symbolic_shapes
from torch.nn.functional import pad

from ansatz.devices import CPU_MEMORY
from ansatz.errors import UserError

NOISE = 16  # roundings: less than so many of what is subtracted from each other is nothing
CACHED = 2**20  # bytes of an array of a tile on the CPU: what is computed number by number stays near the processor
ARRAYS = 32  # of a tile, at most, at a time


class Kernel(Protocol):
    """A kernel of images that compares patches at the same position.

    q12 is (rows, columns, n1, n2), q11 (rows, columns, n1, 1) and q22 (rows, columns, 1, n2).

    Attributes
    ----------
    patch_size, padding : int
        Side of the patches; zeros around the images.
    depth : int
        How many layers look at patches: what is left of an image after them must be a pixel at least.
    """

    @property
    def patch_size(self) -> int: ...
    @property
    def padding(self) -> int: ...
    @property
    def depth(self) -> int: ...

    def scale(self, channels: int) -> float:
        """Return what inner products of patches of so many channels are multiplied by."""

    def values(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        """Return the kernel, (n1, n2)."""

    def diagonal(self, q: torch.Tensor) -> torch.Tensor:
        """Return the kernel of images with themselves, exactly: (n,), from q (rows, columns, n)."""

    def derivatives(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the kernel's derivatives by q12 and by q22, of the shape of q12; 0 where there is none."""


# ------------------------------------------------------------------------------------------------- the kernels
@dataclass(frozen=True)
class _Layer:
    """What a convolution and its ReLU make of a pair of images, position by position."""

    q12: torch.Tensor
    q11: torch.Tensor
    q22: torch.Tensor
    tangent: torch.Tensor  # what reaches it of the derivatives by the weights of the layers before, and its own
    dual: torch.Tensor  # E[relu(u) relu(v)] for Gaussians u, v of covariance [[q11, q12], [q12, q22]], times 2
    slope: torch.Tensor  # E[relu'(u) relu'(v)], times 2
    sine: torch.Tensor  # sqrt(q11 q22 - q12²)


@dataclass(frozen=True)
class CNTK:
    """The neural tangent kernel of `depth` convolutions with ReLU and a linear read-out of all positions.

    Stride 1, no padding but the first convolution's; ReLU times sqrt(2), which keeps lengths. Jacot, Gabriel and
    Hongler (2018); the arc-cosine formulas are those of Cho and Saul (2009).

    Attributes
    ----------
    depth, patch_size : int
        How many convolutions, and the side of their filters.
    padding : int
        Zeros around the images.
    tangent : bool
        Whether all weights learn; or the read-out alone, which is the network's kernel as a Gaussian process (NNGP).
    """

    depth: int = 3
    patch_size: int = 3
    padding: int = 0
    tangent: bool = True

    def scale(self, channels: int) -> float:
        """Return ``1 / channels``, the variance of the weights."""
        return 1 / channels

    def values(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        """Return the mean over positions of the last layer's ``tangent * slope + dual``, or of ``dual``, (n1, n2)."""
        unit = self._unit(q11, q22)
        *_, last = self._layers(q12 / unit, q11 / unit, q22 / unit)
        return (last.dual.addcmul_(last.tangent, last.slope) if self.tangent else last.dual).mean((0, 1)) * unit

    def diagonal(self, q: torch.Tensor) -> torch.Tensor:
        """Return the mean of q as it reaches the last layer, (n,), times ``depth + 1`` where all weights learn."""
        for _ in range(1, self.depth):
            q = _box(q, self.patch_size)
        return q.mean((0, 1)) * (self.depth + 1 if self.tangent else 1)

    def derivatives(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the derivatives, back through the layers; where patches are parallel, 0 of the slope's."""
        unit = self._unit(q11, q22)  # of which derivatives do not depend
        layers = list(self._layers(q12 / unit, q11 / unit, q22 / unit))
        positions = layers[-1].q12.shape[:2].numel()
        by_dual = torch.full_like(layers[-1].q12, 1 / positions)
        by_tangent = by_dual if self.tangent else torch.zeros_like(by_dual)
        by_q22 = torch.zeros_like(by_dual)
        while True:
            layer = layers.pop()
            by_sine = by_tangent * layer.tangent * _inverse(layer.sine) / math.pi
            by_tangent = by_tangent * layer.slope
            by_q22 = by_q22 + (by_dual * layer.sine / math.pi - by_sine * layer.q12) * _inverse(2 * layer.q22)
            by_q12 = by_dual * layer.slope + by_sine + by_tangent
            if not layers:
                return by_q12, by_q22
            by_dual, by_tangent, by_q22 = (_spread(by, self.patch_size) for by in (by_q12, by_tangent, by_q22))

    def _unit(self, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        """Return a power of two in which products of what reaches the layers, which add up, are within float32's range.

        The kernel is homogeneous: computed in any unit it is the same, and by a power of two nothing is rounded.
        """
        largest = q11.amax().sqrt() * q22.amax().sqrt()
        halfway = (self.depth - 1) * math.log2(self.patch_size)
        return torch.exp2((torch.where(largest > 0, largest, 1).log2() + halfway).round())

    def _layers(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> Iterator[_Layer]:
        layer = _Layer(q12, q11, q22, q12, *_relu(q12, q11, q22))
        yield layer
        for _ in range(1, self.depth):
            tangent = _box(torch.addcmul(layer.dual, layer.tangent, layer.slope), self.patch_size)
            q12, q11, q22 = (_box(q, self.patch_size) for q in (layer.dual, layer.q11, layer.q22))
            layer = _Layer(q12, q11, q22, tangent, *_relu(q12, q11, q22))
            yield layer


@dataclass(frozen=True)
class Laplace:
    """The sum over positions of ``exp(-|F v_p - F w_p| / bandwidth)``.

    Attributes
    ----------
    bandwidth : float
    patch_size, padding : int
        As for `CNTK`.
    """

    bandwidth: float = 10.0
    patch_size: int = 3
    padding: int = 0

    depth = 1

    def scale(self, channels: int) -> float:
        """Return 1: distances are those of the patches themselves."""
        return 1.0

    def values(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        """Return the sum over positions, (n1, n2)."""
        return self._at_positions(self._squares(q12, q11, q22).sqrt_()).sum((0, 1))

    def diagonal(self, q: torch.Tensor) -> torch.Tensor:
        """Return the number of positions, (n,)."""
        return torch.full_like(q[0, 0], q.shape[0] * q.shape[1])

    def derivatives(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the derivatives by q12 and q22; 0 where patches are equal."""
        distance = self._squares(q12, q11, q22).sqrt_()
        by_square = _inverse(distance) / self.bandwidth
        by_square *= self._at_positions(distance)
        return by_square, by_square / -2

    def _squares(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        terms = q11 + q22
        return _unless_noise(terms.sub(q12, alpha=2), terms)

    def _at_positions(self, distance: torch.Tensor) -> torch.Tensor:
        return distance.div_(-self.bandwidth).exp_()


class _Compiled:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.values, self.derivatives = _fused(kernel.values), _fused(kernel.derivatives)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)

    def __reduce__(self) -> tuple[Any, ...]:  # what the compiler made cannot be pickled, and is made again
        return _Compiled, (self.kernel,)


def _fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of q12, q11 and q22 once for tiles of all sizes.

    By itself the compiler would take sides that happen to be equal for one number, and start anew where they are not;
    and where strides differ; and for a side of one image, of which the compiled code would not be worth its while.
    """
    fused = torch.compile(function, dynamic=True)

    def call(q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> Any:
        if 1 in q12.shape[2:]:
            return function(q12, q11, q22)
        with cast(Any, symbolic_shapes).patch(use_duck_shape=False):
            return fused(q12, q11.contiguous(), q22.contiguous())

    return call


def compiled(kernel: Kernel) -> Kernel:
    """Return the kernel with its arithmetic fused by PyTorch's compiler, which takes a C compiler and a while.

    A GPU otherwise writes and reads each intermediate result. On the CPU, where they stay in the cache, nothing is
    gained.
    """
    return cast(Kernel, _Compiled(kernel))


KERNELS: dict[str, Callable[..., Kernel]] = {"cntk": CNTK, "nngp": partial(CNTK, tangent=False), "laplace": Laplace}


def _relu(q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return dual, slope and sine of `_Layer`."""
    square = q11 * q22
    sine = _unless_noise(square.addcmul(q12, q12, value=-1), square).sqrt_()
    above = torch.finfo(sine.dtype).tiny  # so that the angle between patches of which one is 0 is a right one
    slope = torch.rsub(torch.atan2(sine.clamp(min=above), q12), 1, alpha=1 / math.pi)
    return (slope * q12).add_(sine, alpha=1 / math.pi), slope, sine


def _unless_noise(difference: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
    """Clear what is but rounding in a difference of such terms; both are overwritten."""
    return difference.masked_fill_(difference <= terms.mul_(NOISE * torch.finfo(terms.dtype).eps), 0)


def _inverse(q: torch.Tensor) -> torch.Tensor:
    """Return ``1 / q``, and 0 where q is 0."""
    return torch.where(q > 0, 1 / q, 0.0)


def _box(q: torch.Tensor, size: int) -> torch.Tensor:
    """Return the sums over size x size positions, (rows - size + 1, columns - size + 1, ...)."""
    for dim in (0, 1):
        count = q.shape[dim] - size + 1
        total = q.narrow(dim, 0, count)
        for offset in range(1, size):
            other = q.narrow(dim, offset, count)
            total = total + other if offset == 1 else total.add_(other)
        q = total
    return q


def _spread(q: torch.Tensor, size: int) -> torch.Tensor:
    """Return the adjoint of `_box`: each position's number at all that it was summed over."""
    return _box(pad(q, [0, 0, 0, 0, *[size - 1] * 4]), size)


# ------------------------------------------------------------------------------------------------- what they are for
def patches(kernel: Kernel, images: torch.Tensor, factor: torch.Tensor | None = None) -> torch.Tensor:
    """Return the patches of images.

    Parameters
    ----------
    kernel : Kernel
        Of which patch size and padding are.
    images : Tensor
        (n, channels, height, width), of a floating type.
    factor : Tensor, optional
        F, (rank, patch): what each patch is multiplied by. A patch is flattened in the order channel, row, column.

    Returns
    -------
    Tensor
        (rows, columns, n, patch), or (rows, columns, n, rank); rows = height + 2 padding - patch_size + 1.

    Raises
    ------
    UserError
        If the images are too small for the kernel's depth.
    """
    _positions(kernel, images)  # refuses those that are too small
    size, padded = kernel.patch_size, pad(images, [kernel.padding] * 4)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)  # (n, channels, rows, columns, size, size)
    found = windows.permute(2, 3, 0, 1, 4, 5).flatten(3)  # (rows, columns, n, patch)
    return found if factor is None else found @ factor.mT


def _positions(kernel: Kernel, images: torch.Tensor) -> tuple[int, int]:
    """Return how many rows and columns of patches images have, if they are large enough for the kernel."""
    size, depth, (height, width) = kernel.patch_size, kernel.depth, images.shape[2:]
    rows, columns = (side + 2 * kernel.padding - size + 1 for side in (height, width))
    if min(rows, columns) < 1 + (depth - 1) * (size - 1):
        least = 1 + depth * (size - 1) - 2 * kernel.padding
        raise UserError(
            f"kernel: {depth} convolutions of patch size {size} take images of {least} px at least, "
            f"and these have {height}x{width}"
        )
    return rows, columns


def kernel_matrix(
    kernel: Kernel,
    x: torch.Tensor,
    z: torch.Tensor | None = None,
    factor: torch.Tensor | None = None,
    *,
    memory: int = CPU_MEMORY,
) -> torch.Tensor:
    """Return the kernel of all pairs of images, in tiles.

    Parameters
    ----------
    kernel : Kernel
    x, z : Tensor
        (n1, channels, height, width) and (n2, ...) of one floating type and device. Without z: of x with itself, where
        a tile of pairs is computed once, and the diagonal exactly.
    factor : Tensor, optional
        F, (rank, patch), of the matrix ``M = F.T @ F`` over patches; the identity where it is not given.
    memory : int
        Bytes that tiles may take.

    Returns
    -------
    Tensor
        (n1, n2), of the images' type.

    Raises
    ------
    UserError
        If the images are too small for the kernel's depth, or PyTorch is set to multiply float32 with fewer digits.
    """
    _check_products(x)
    found = x.new_empty(len(x), len(x if z is None else z))
    block, tile = _sizes(kernel, x, memory // 2, factor)
    for i in range(0, len(x), block):
        v = _scaled(kernel, x[i : i + block], factor)
        for j in range(i if z is None else 0, found.shape[1], block):
            same = z is None and i == j
            w = v if same else _scaled(kernel, (x if z is None else z)[j : j + block], factor)
            part = found[i : i + block, j : j + block]
            _fill(kernel, part, v, w, tile, symmetric=same)
            if z is None and not same:
                found[j : j + block, i : i + block] = part.mT
    return found


def _fill(kernel: Kernel, found: torch.Tensor, v: torch.Tensor, w: torch.Tensor, tile: int, *, symmetric: bool) -> None:
    """Compute the kernel of patches, (rows, columns, n1, rank) and (rows, columns, n2, rank), tile by tile."""
    q11, q22 = v.square().sum(3), w.square().sum(3)  # (rows, columns, n1), (rows, columns, n2)
    for i in range(0, len(found), tile):
        for j in range(i if symmetric else 0, found.shape[1], tile):
            here, there = slice(i, i + tile), slice(j, j + tile)
            q12 = v[:, :, here] @ w[:, :, there].mT  # (rows, columns, tile, tile)
            found[here, there] = kernel.values(q12, q11[:, :, here].unsqueeze(3), q22[:, :, there].unsqueeze(2))
            if symmetric and i != j:
                found[there, here] = found[here, there].mT
    if symmetric:
        found.diagonal().copy_(kernel.diagonal(q11))


def predictor_agop(
    kernel: Kernel,
    x: torch.Tensor,
    alphas: torch.Tensor,
    samples: torch.Tensor,
    factor: torch.Tensor | None = None,
    *,
    memory: int = CPU_MEMORY,
) -> torch.Tensor:
    """Return the AGOP over patches of ``f(z) = sum_i alphas_i k(x_i, z)``.

    ``1/m sum_z sum_p sum_c g g.T`` with g the gradient of output c by the patch at position p, before it is multiplied
    by F. Its formula is closed: with a and b the kernel's derivatives by q12 and q22,
    ``g = s F.T @ sum_i alphas_ic (a_i F v_ip + 2 b_i F w_p)``.

    Parameters
    ----------
    kernel, x, factor, memory
        As for `kernel_matrix`.
    alphas : Tensor
        (n, outputs).
    samples : Tensor
        Images that the average is over, (m, channels, height, width).

    Returns
    -------
    Tensor
        (patch, patch), of the images' type.

    Raises
    ------
    UserError
        As for `kernel_matrix`.
    """
    _check_products(x)
    outputs = alphas.shape[1]
    # of the memory, a third each: gradients of some samples, patches of some images, derivatives of pairs of them
    some, tile = _sizes(kernel, samples, memory // (3 * outputs), factor)
    block, _ = _sizes(kernel, x, memory // 3, factor)
    total = x.new_zeros(())
    for chunk in samples.split(some):
        w = _scaled(kernel, chunk, factor)
        gradients = w.new_zeros(*w.shape[:2], len(chunk) * outputs, w.shape[3])
        for v, weights in zip(x.split(block), alphas.split(block), strict=True):
            _add_gradients(kernel, gradients, _scaled(kernel, v, factor), weights, w, tile)
        flat = gradients.flatten(0, 2)
        total = total + flat.mT @ flat
    total = total * (kernel.scale(x.shape[1]) / len(samples))  # v and w each carry the root of the scale
    return total if factor is None else factor.mT @ total @ factor


def _add_gradients(
    kernel: Kernel, gradients: torch.Tensor, v: torch.Tensor, alphas: torch.Tensor, w: torch.Tensor, tile: int
) -> None:
    """Add the gradients by the patches w, (rows, columns, m * outputs, rank), of what the patches v contribute."""
    q11, q22 = v.square().sum(3), w.square().sum(3)
    own = w.new_zeros(*q22.shape, alphas.shape[1])  # (rows, columns, m, outputs), of 2 w
    rows = max(1, tile * tile // w.shape[2])
    for i in range(0, v.shape[2], rows):
        here = slice(i, i + rows)
        q12 = v[:, :, here] @ w.mT  # (rows, columns, tile, m)
        by_q12, by_q22 = kernel.derivatives(q12, q11[:, :, here].unsqueeze(3), q22.unsqueeze(2))
        weights = by_q12.mT.unsqueeze(3) * alphas[here].mT  # (rows, columns, m, outputs, tile)
        gradients.flatten(0, 1).baddbmm_(weights.flatten(2, 3).flatten(0, 1), v[:, :, here].flatten(0, 1))
        own += by_q22.mT @ alphas[here]
    gradients += (2 * own.unsqueeze(4) * w.unsqueeze(3)).flatten(2, 3)


def _check_products(images: torch.Tensor) -> None:
    """Refuse products of float32 with fewer digits than it has: of ``q11 q22 - q12²`` they leave noise."""
    backend = torch.backends.cuda if images.device.type == "cuda" else torch.backends.mkldnn
    precision = cast(Any, backend).matmul.fp32_precision
    if images.dtype == torch.float32 and precision not in ("none", "ieee"):
        raise UserError(
            f"float32: its products are set to {precision}, which is too coarse for kernels; "
            "call torch.set_float32_matmul_precision('highest')"
        )


def _scaled(kernel: Kernel, images: torch.Tensor, factor: torch.Tensor | None) -> torch.Tensor:
    """Return patches times the root of the kernel's scale."""
    return patches(kernel, images * math.sqrt(kernel.scale(images.shape[1])), factor)


def _sizes(kernel: Kernel, images: torch.Tensor, memory: int, factor: torch.Tensor | None) -> tuple[int, int]:
    """Return how many images' patches that much memory holds, and how many images a tile of pairs has on each side."""
    positions, patch = math.prod(_positions(kernel, images)), images.shape[1] * kernel.patch_size**2
    widest = 2 * max(patch, 0 if factor is None else len(factor))  # unfolded, then multiplied
    pairs = memory // ARRAYS if images.device.type == "cuda" else min(memory // ARRAYS, CACHED)
    bytes_each = positions * images.element_size()
    return max(1, memory // (bytes_each * widest)), max(1, math.isqrt(pairs // bytes_each))
