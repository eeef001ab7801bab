"""Kernels of all pairs of images, computed in tiles, and the AGOP of a predictor that is a sum of kernels."""

import math
from typing import Any, cast

import torch
from torch.nn.functional import pad

from ansatz.errors import UserError
from ansatz.machines.kernels import Kernel
from ansatz.memory import CPU_MEMORY

CACHED = 2**20  # bytes of an array of a tile on the CPU, so that elementwise operations stay within the cache
ARRAYS = 32  # arrays of a tile that exist at the same time, at most


def patches(kernel: Kernel, images: torch.Tensor, factor: torch.Tensor | None = None) -> torch.Tensor:
    """Return the patches of images.

    Parameters
    ----------
    kernel : Kernel
        Its patch size and padding are used.
    images : Tensor
        (n, channels, height, width), of a floating type.
    factor : Tensor, optional
        F, (rank, patch), by which each patch is multiplied. A patch is flattened in the order channel, row, column.

    Returns
    -------
    Tensor
        (rows, columns, n, patch), or (rows, columns, n, rank); rows = height + 2 padding - patch_size + 1.

    Raises
    ------
    UserError
        If the images are too small for the kernel's depth.
    """
    _positions(kernel, images)  # refuses images that are too small
    size, padded = kernel.patch_size, pad(images, [kernel.padding] * 4)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)  # (n, channels, rows, columns, size, size)
    flat = windows.permute(2, 3, 0, 1, 4, 5).flatten(3)  # (rows, columns, n, patch)
    return flat if factor is None else flat @ factor.mT


def _positions(kernel: Kernel, images: torch.Tensor) -> tuple[int, int]:
    """Return the numbers of rows and columns of patches, if the images are large enough for the kernel."""
    size, depth, (height, width) = kernel.patch_size, kernel.depth, images.shape[2:]
    rows, columns = (side + 2 * kernel.padding - size + 1 for side in (height, width))
    if min(rows, columns) < 1 + (depth - 1) * (size - 1):
        least = 1 + depth * (size - 1) - 2 * kernel.padding
        raise UserError(
            f"kernel: {depth} convolutions of patch size {size} require images of at least {least} px; "
            f"these are {height}x{width}"
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
    """Return the kernel of all pairs of images, computed in tiles.

    Parameters
    ----------
    kernel : Kernel
    x, z : Tensor
        (n1, channels, height, width) and (n2, ...), of the same floating type and on the same device. Without z, the
        kernel is that of x with itself: each pair is computed once, and the diagonal exactly.
    factor : Tensor, optional
        F, (rank, patch), of the feature matrix ``M = F.T @ F`` over patches; by default the identity.
    memory : int
        Bytes available for tiles.

    Returns
    -------
    Tensor
        (n1, n2), of the images' type.

    Raises
    ------
    UserError
        If the images are too small for the kernel's depth, or PyTorch is set to multiply float32 at a lower precision.
    """
    _check_products(x)
    matrix = x.new_empty(len(x), len(x if z is None else z))
    block, tile = _sizes(kernel, x, memory // 2, factor)
    for i in range(0, len(x), block):
        v = _scaled(kernel, x[i : i + block], factor)
        for j in range(i if z is None else 0, matrix.shape[1], block):
            same = z is None and i == j
            w = v if same else _scaled(kernel, (x if z is None else z)[j : j + block], factor)
            part = matrix[i : i + block, j : j + block]
            _fill(kernel, part, v, w, tile, symmetric=same)
            if z is None and not same:
                matrix[j : j + block, i : i + block] = part.mT
    return matrix


def _fill(
    kernel: Kernel, matrix: torch.Tensor, v: torch.Tensor, w: torch.Tensor, tile: int, *, symmetric: bool
) -> None:
    """Compute the kernel of patches (rows, columns, n1, rank) and (rows, columns, n2, rank), tile by tile."""
    q11, q22 = v.square().sum(3), w.square().sum(3)  # (rows, columns, n1), (rows, columns, n2)
    for i in range(0, len(matrix), tile):
        for j in range(i if symmetric else 0, matrix.shape[1], tile):
            here, there = slice(i, i + tile), slice(j, j + tile)
            q12 = v[:, :, here] @ w[:, :, there].mT  # (rows, columns, tile, tile)
            matrix[here, there] = kernel.values(q12, q11[:, :, here].unsqueeze(3), q22[:, :, there].unsqueeze(2))
            if symmetric and i != j:
                matrix[there, here] = matrix[here, there].mT
    if symmetric:
        matrix.diagonal().copy_(kernel.diagonal(q11))


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

    It is ``1/m sum_z sum_p sum_c g g.T``, where g is the gradient of output c by the patch at position p, before the
    patch is multiplied by F. With the kernel's derivatives a by q12 and b by q22, the gradient has a closed form:
    ``g = s F.T @ sum_i alphas_ic (a_i F v_ip + 2 b_i F w_p)``.

    Parameters
    ----------
    kernel, x, factor, memory
        As for `kernel_matrix`.
    alphas : Tensor
        (n, outputs).
    samples : Tensor
        The images to average over, (m, channels, height, width).

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
    # a third of the memory each for gradients at samples, patches of images, and derivatives of their pairs
    size, tile = _sizes(kernel, samples, memory // (3 * outputs), factor)
    block, _ = _sizes(kernel, x, memory // 3, factor)
    total = x.new_zeros(())
    for chunk in samples.split(size):
        w = _scaled(kernel, chunk, factor)
        gradients = w.new_zeros(*w.shape[:2], len(chunk) * outputs, w.shape[3])
        for v, weights in zip(x.split(block), alphas.split(block), strict=True):
            _add_gradients(kernel, gradients, _scaled(kernel, v, factor), weights, w, tile)
        flat = gradients.flatten(0, 2)
        total = total + flat.mT @ flat
    total = total * (kernel.scale(x.shape[1]) / len(samples))  # v and w each contain the root of the scale
    return total if factor is None else factor.mT @ total @ factor


def _add_gradients(
    kernel: Kernel, gradients: torch.Tensor, v: torch.Tensor, alphas: torch.Tensor, w: torch.Tensor, tile: int
) -> None:
    """Add what the patches v contribute to the gradients by the patches w, (rows, columns, m * outputs, rank)."""
    q11, q22 = v.square().sum(3), w.square().sum(3)
    own = w.new_zeros(*q22.shape, alphas.shape[1])  # (rows, columns, m, outputs), the factors of 2 w
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
    """Refuse float32 products of a lower precision, which would leave only noise in ``q11 q22 - q12²``."""
    backend = torch.backends.cuda if images.device.type == "cuda" else torch.backends.mkldnn
    precision = cast(Any, backend).matmul.fp32_precision
    if images.dtype == torch.float32 and precision not in ("none", "ieee"):
        raise UserError(
            f"float32: the precision of its products is set to {precision}, which is too low for kernels; "
            "call torch.set_float32_matmul_precision('highest')"
        )


def _scaled(kernel: Kernel, images: torch.Tensor, factor: torch.Tensor | None) -> torch.Tensor:
    """Return patches multiplied by the root of the kernel's scale."""
    return patches(kernel, images * math.sqrt(kernel.scale(images.shape[1])), factor)


def _sizes(kernel: Kernel, images: torch.Tensor, memory: int, factor: torch.Tensor | None) -> tuple[int, int]:
    """Return for how many images the memory holds the patches, and how many images a side of a tile has."""
    positions, patch = math.prod(_positions(kernel, images)), images.shape[1] * kernel.patch_size**2
    widest = 2 * max(patch, 0 if factor is None else len(factor))  # unfolded, then multiplied
    pairs = memory // ARRAYS if images.device.type == "cuda" else min(memory // ARRAYS, CACHED)
    bytes_each = positions * images.element_size()
    return max(1, memory // (bytes_each * widest)), max(1, math.isqrt(pairs // bytes_each))
