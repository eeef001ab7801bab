"""Kernel ridge regression on images: directly, or from centres where the kernel of all pairs does not fit."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ansatz.devices import CPU_MEMORY
from ansatz.errors import UserError
from ansatz.kernels import Kernel, kernel_matrix, predictor_agop

LOG = logging.getLogger(__name__)
# How a ridge grows that is too small for the kernel's rounding, from where, and when that is given up.
STEP, SMALLEST, LARGEST = 10.0, 1e-12, 1.0


@dataclass(frozen=True)
class KernelRidge:
    """Regressions ``f(z) = sum_i alphas_i k(x_i, z) / scale`` that differ in their ridge alone.

    Attributes
    ----------
    kernel : Kernel
    images : Tensor
        The x_i, (n, channels, height, width).
    factor : Tensor or None
        What patches are multiplied by, (rank, patch).
    scale : float
        The largest entry of the kernel of the images, by which it is divided, so that ridges mean the same for all.
    ridges : list of float
    alphas : Tensor
        (ridges, n, outputs).
    memory : int
        Bytes that tiles of the kernel may take.
    """

    kernel: Kernel
    images: torch.Tensor
    factor: torch.Tensor | None
    scale: float
    ridges: list[float]
    alphas: torch.Tensor
    memory: int

    def outputs(self, z: torch.Tensor) -> torch.Tensor:
        """Return f of images (m, channels, height, width), for each ridge: (ridges, m, outputs)."""
        kernel = kernel_matrix(self.kernel, z, self.images, self.factor, memory=self.memory)  # (m, n)
        return kernel @ (self.alphas / self.scale).to(kernel)

    def agop(self, ridge: int, samples: torch.Tensor) -> torch.Tensor:
        """Return the AGOP over patches of the regression of that number, as `predictor_agop`, (patch, patch)."""
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
        (n, channels, height, width); in their type, and on their device, the kernel is computed.
    y : Tensor
        (n, outputs).
    ridges : sequence of float
        Where one is too small for the kernel to be positive definite, a larger one takes its place, with a warning.
    factor, memory
        As for `kernel_matrix`.

    Raises
    ------
    UserError
        If the kernel is not finite, or no ridge is large enough.
    """
    matrix = kernel_matrix(kernel, x, factor=factor, memory=memory).double()
    scale = _largest(matrix)
    taken, alphas = _solved(matrix.div_(scale), y.double(), ridges)
    return KernelRidge(kernel, x, factor, scale, taken, alphas, memory)


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
    """Minimize ``|f(x) - y|² + ridge |f|²`` over f that are sums over m centres alone (Williams and Seeger, 2000).

    With all images as centres it is `kernel_ridge`. It takes n m kernel values, which are never kept, n m² operations
    and 4 m² numbers of memory, where the direct solution takes n²/2, n³/3 and 2 n².

    Parameters
    ----------
    centres : Tensor
        (m, channels, height, width), of x.
    kernel, x, y, ridges, factor, memory
        As for `kernel_ridge`.
    """
    among = kernel_matrix(kernel, centres, factor=factor, memory=memory).double()  # (m, m)
    scale = _largest(among)
    lower, _ = _cholesky(among / scale, torch.finfo(x.dtype).eps, "ridge among centres")
    seconds, moments = torch.zeros_like(among), among.new_zeros(len(centres), y.shape[1])
    rows = max(1, memory // (4 * 8 * len(centres)))
    for some, targets in zip(x.split(rows), y.double().split(rows), strict=True):
        between = kernel_matrix(kernel, centres, some, factor, memory=memory // 2).double() / scale  # (m, rows)
        features = torch.linalg.solve_triangular(lower, between, upper=False)  # of which K is about the inner products
        seconds.addmm_(features, features.mT)
        moments += features @ targets
    taken, weights = _solved(seconds, moments, ridges)
    alphas = torch.linalg.solve_triangular(lower.mT, weights, upper=True)
    return KernelRidge(kernel, centres, factor, scale, taken, alphas, memory)


def _largest(matrix: torch.Tensor) -> float:
    largest = float(matrix.max())
    if not 0 < largest < float("inf"):
        raise UserError(f"kernel: its largest entry is {largest:g}; are images not finite, or all of them blank?")
    return largest


def _solved(matrix: torch.Tensor, y: torch.Tensor, ridges: Sequence[float]) -> tuple[list[float], torch.Tensor]:
    """Solve ``(matrix + ridge I) x = y``, (n, outputs); return the ridges taken, and all x, (ridges, n, outputs)."""
    taken, found = [], []
    for wanted in ridges:
        lower, ridge = _cholesky(matrix, wanted)
        taken.append(ridge)
        # `cholesky_solve` would copy the factor
        half = torch.linalg.solve_triangular(lower, y, upper=False)  # (n, outputs)
        found.append(torch.linalg.solve_triangular(lower.mT, half, upper=True))
        del lower  # before the next one is made
    return taken, torch.stack(found)


def _cholesky(matrix: torch.Tensor, ridge: float, name: str = "ridge") -> tuple[torch.Tensor, float]:
    """Return the Cholesky factor of ``matrix + ridge I``, and the ridge, which grows until there is one."""
    wanted, failed = ridge, torch.empty((), dtype=torch.int32, device=matrix.device)
    while ridge <= max(LARGEST, wanted):
        lower = torch.empty_like(matrix).mT.copy_(matrix)  # LAPACK counts down columns, and so needs no other copy
        lower.diagonal().add_(ridge)
        torch.linalg.cholesky_ex(lower, out=(lower, failed))
        if not failed:
            if ridge > wanted:
                LOG.warning("%s %g is too small for the kernel's rounding; taking %g", name, wanted, ridge)
            return lower, ridge
        ridge = max(STEP * ridge, SMALLEST)
    raise UserError(f"{name}: with {wanted:g}, and up to {LARGEST:g}, the kernel is not positive definite")
