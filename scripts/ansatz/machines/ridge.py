"""Kernel ridge regression on images: exact, or with Nyström centres where the kernel of all pairs does not fit."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ansatz.errors import UserError
from ansatz.machines.kernel_matrix import kernel_matrix, predictor_agop
from ansatz.machines.kernels import Kernel
from ansatz.memory import CPU_MEMORY

LOG = logging.getLogger(__name__)
# A ridge that is too small for the kernel's rounding errors grows by STEP, from SMALLEST, until LARGEST.
STEP, SMALLEST, LARGEST = 10.0, 1e-12, 1.0


@dataclass(frozen=True)
class KernelRidge:
    """Regressions ``f(z) = sum_i alphas_i k(x_i, z) / scale`` that differ only in their ridge.

    Attributes
    ----------
    kernel : Kernel
    images : Tensor
        The x_i, (n, channels, height, width).
    factor : Tensor or None
        F, (rank, patch), by which patches are multiplied.
    scale : float
        The largest entry of the kernel of the images. The kernel is divided by it, so that a ridge means the same for
        every kernel.
    ridges : list of float
    alphas : Tensor
        (ridges, n, outputs).
    memory : int
        Bytes available for tiles of the kernel.
    """

    kernel: Kernel
    images: torch.Tensor
    factor: torch.Tensor | None
    scale: float
    ridges: list[float]
    alphas: torch.Tensor
    memory: int

    def outputs(self, z: torch.Tensor) -> torch.Tensor:
        """Return f at the images z (m, channels, height, width) for each ridge: (ridges, m, outputs)."""
        kernel = kernel_matrix(self.kernel, z, self.images, self.factor, memory=self.memory)  # (m, n)
        return kernel @ (self.alphas / self.scale).to(kernel)

    def agop(self, ridge: int, samples: torch.Tensor) -> torch.Tensor:
        """Return the AGOP over patches, (patch, patch), of the regression with the ridge of that number."""
        alphas = (self.alphas[ridge] / self.scale).to(samples)
        return predictor_agop(self.kernel, self.images, alphas, samples, self.factor, memory=self.memory)


def kernel_ridge(
    kernel: Kernel,
    x: torch.Tensor,
    y: torch.Tensor,
    ridges: Sequence[float],
    factor: torch.Tensor | None = None,
    *,
    memory: int = CPU_MEMORY,
) -> KernelRidge:
    """Solve ``(K / scale + ridge I) alphas = y``, by Cholesky decompositions in float64.

    Parameters
    ----------
    kernel : Kernel
    x : Tensor
        (n, channels, height, width); the kernel is computed in their type and on their device.
    y : Tensor
        (n, outputs).
    ridges : sequence of float
        A ridge that is too small for the kernel to be positive definite is replaced by a larger one, with a warning.
    factor, memory
        As for `kernel_matrix`.

    Raises
    ------
    UserError
        If the kernel is not finite, or no ridge is large enough.
    """
    matrix = kernel_matrix(kernel, x, factor=factor, memory=memory).double()
    scale = _largest(matrix)
    used, alphas = _solve(matrix.div_(scale), y.double(), ridges)
    return KernelRidge(kernel, x, factor, scale, used, alphas, memory)


def nystroem(
    kernel: Kernel,
    x: torch.Tensor,
    y: torch.Tensor,
    centres: torch.Tensor,
    ridges: Sequence[float],
    factor: torch.Tensor | None = None,
    *,
    memory: int = CPU_MEMORY,
) -> KernelRidge:
    """Minimize ``|f(x) - y|² + ridge |f|²`` over sums f of kernels at m centres (Williams and Seeger, 2000).

    With all images as centres it is `kernel_ridge`. It computes n m kernel values, which are not stored, with n m²
    operations and memory for 4 m² numbers; the exact solution requires n²/2, n³/3 and 2 n².

    Parameters
    ----------
    centres : Tensor
        (m, channels, height, width), images of x.
    kernel, x, y, ridges, factor, memory
        As for `kernel_ridge`.
    """
    among = kernel_matrix(kernel, centres, factor=factor, memory=memory).double()  # (m, m)
    scale = _largest(among)
    lower, _ = _cholesky(among / scale, torch.finfo(x.dtype).eps, "ridge among centres")
    gram, products = torch.zeros_like(among), among.new_zeros(len(centres), y.shape[1])
    rows = max(1, memory // (4 * 8 * len(centres)))
    for images, targets in zip(x.split(rows), y.double().split(rows), strict=True):
        between = kernel_matrix(kernel, centres, images, factor, memory=memory // 2).double() / scale  # (m, rows)
        features = torch.linalg.solve_triangular(lower, between, upper=False)  # their inner products approximate K
        gram.addmm_(features, features.mT)
        products += features @ targets
    used, weights = _solve(gram, products, ridges)
    alphas = torch.linalg.solve_triangular(lower.mT, weights, upper=True)
    return KernelRidge(kernel, centres, factor, scale, used, alphas, memory)


def _largest(matrix: torch.Tensor) -> float:
    largest = float(matrix.max())
    if not 0 < largest < float("inf"):
        raise UserError(
            f"kernel: its largest entry is {largest:g}; are there images that are not finite, or are all images blank?"
        )
    return largest


def _solve(matrix: torch.Tensor, y: torch.Tensor, ridges: Sequence[float]) -> tuple[list[float], torch.Tensor]:
    """Solve ``(matrix + ridge I) x = y`` for each ridge; return the ridges used and all x, (ridges, n, outputs)."""
    used, solutions = [], []
    for requested in ridges:
        lower, ridge = _cholesky(matrix, requested)
        used.append(ridge)
        # `cholesky_solve` would copy the factor
        half = torch.linalg.solve_triangular(lower, y, upper=False)  # (n, outputs)
        solutions.append(torch.linalg.solve_triangular(lower.mT, half, upper=True))
        del lower  # frees its memory before the next decomposition
    return used, torch.stack(solutions)


def _cholesky(matrix: torch.Tensor, ridge: float, name: str = "ridge") -> tuple[torch.Tensor, float]:
    """Return the Cholesky factor of ``matrix + ridge I`` and the ridge, which grows until the factor exists."""
    requested, failed = ridge, torch.empty((), dtype=torch.int32, device=matrix.device)
    while ridge <= max(LARGEST, requested):
        lower = torch.empty_like(matrix).mT.copy_(matrix)  # LAPACK stores columns, and so makes no further copy
        lower.diagonal().add_(ridge)
        torch.linalg.cholesky_ex(lower, out=(lower, failed))
        if not failed:
            if ridge > requested:
                LOG.warning("%s %g is too small for the kernel's rounding errors; using %g", name, requested, ridge)
            return lower, ridge
        ridge = max(STEP * ridge, SMALLEST)
    raise UserError(
        f"{name}: the kernel is not positive definite with {requested:g}, nor with ridges up to {LARGEST:g}"
    )
