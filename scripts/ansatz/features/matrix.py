"""Feature matrices over patches, as thin factors."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import nn

from ansatz.errors import UserError
from ansatz.networks.evaluation import evaluating, has_values
from ansatz.networks.maps import Selection, linear_maps

ROUNDING = 1e-12  # of the largest eigenvalue: singular values are known to a millionth of the largest
Shape = tuple[int, ...]  # of a patch: channels, rows, columns; of a token: channels


def shape_text(shape: Shape) -> str:
    """Return a patch's shape as in tables and messages: ``3x5x5``."""
    return "x".join(map(str, shape))


@dataclass(frozen=True)
class FeatureMatrix:
    """A positive semidefinite matrix over patches or tokens, ``M = F.T @ F``, for each group or head of a linear map.

    Attributes
    ----------
    factor : Tensor
        F, (groups, rank, patch); patches are flattened like a convolution's weight: by channel, row, column.
    shape : tuple of int
        The patch's shape: channels that one group sees, rows, columns. A token's: channels.
    standard_error : float
        Of an estimate from random probes, relative to the Frobenius norm of M; 0 for an exact matrix, NaN where it
        cannot be computed.
    """

    factor: torch.Tensor
    shape: Shape
    standard_error: float = 0.0

    @classmethod
    def of(cls, matrix: torch.Tensor, shape: Shape) -> "FeatureMatrix":
        """Factorize a dense positive semidefinite matrix, (patch, patch), over patches of this shape."""
        values, vectors = torch.linalg.eigh(matrix)
        factor = values.clamp_min(0).sqrt().unsqueeze(1) * vectors.mT  # (patch, patch)
        return cls(factor.unsqueeze(0), shape)

    def dense(self) -> torch.Tensor:
        """Return M itself, (groups, patch, patch): in the last layers of a VGG, 4608 x 4608."""
        return self.factor.mT @ self.factor

    def trace(self) -> torch.Tensor:
        """Return the trace of each group's matrix, (groups,)."""
        return self.factor.square().sum((1, 2))

    def eigenvalues(self) -> torch.Tensor:
        """Return the eigenvalues of each group's matrix, descending: float64 (groups, min(rank, patch)).

        They are the squares of the factor's singular values. All others are zero.
        """
        return torch.linalg.svdvals(self.factor.double()).square()

    def effective_rank(self) -> torch.Tensor:
        """Return the effective rank of each group's matrix: float64 (groups,).

        It is ``exp(-Σ p log p)`` of the eigenvalues p at sum 1: k if k of them are equal and all others zero, and less
        the less equal they are. NaN where the matrix is zero.

        References
        ----------
        Roy and Vetterli (2007). The effective rank: a measure of effective dimensionality. EUSIPCO, 606-610.
        """
        values = self.eigenvalues()
        return torch.special.entr(values / values.sum(1, keepdim=True)).sum(1).exp()

    def scaled(self, by: float | torch.Tensor) -> "FeatureMatrix":
        """Return ``by * M``, with `by` at least 0: a number, or a value per group (groups,)."""
        root = torch.as_tensor(by, dtype=self.factor.dtype, device=self.factor.device).sqrt()
        return replace(self, factor=self.factor * root.view(-1, 1, 1))

    def square_root(self) -> "FeatureMatrix":
        """Return ``M^(1/2)``."""
        return self.powers([0.5])[0]

    def powers(self, exponents: Iterable[float]) -> list["FeatureMatrix"]:
        """Return ``M^a`` for positive a: from ``F = U S V.T`` it is ``V S^(2a) V.T``, with thin factor ``S^a V.T``.

        Eigenvalues below `ROUNDING` of the largest count as zero: what rounding makes of zero has no small powers.
        """
        _, s, vt = torch.linalg.svd(self.factor, full_matrices=False)  # (groups, r), (groups, r, patch)
        s = s.where(s > ROUNDING**0.5 * s.amax(1, keepdim=True), 0)
        return [self._with(s.pow(exponent).unsqueeze(2) * vt) for exponent in exponents]

    def group(self, number: int) -> "FeatureMatrix":
        """Return the matrix of one group, counted from 0."""
        return replace(self, factor=self.factor[number : number + 1])

    def rolled(self) -> "FeatureMatrix":
        """Return a matrix whose groups have the matrices of the groups before them."""
        return replace(self, factor=self.factor.roll(1, 0))

    def with_random_basis(self, generator: torch.Generator) -> "FeatureMatrix":
        """Return a matrix with the same eigenvalues whose eigenvectors are random: of all bases alike."""
        s = torch.linalg.svdvals(self.factor)  # (groups, r)
        z = torch.randn(len(s), self.factor.shape[2], s.shape[1], generator=generator, dtype=s.dtype)
        q, upper = torch.linalg.qr(z)  # (groups, patch, r), (groups, r, r)
        basis = q * upper.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)  # else QR prefers some (Mezzadri 2007)
        return self._with(s.unsqueeze(2) * basis.mT)

    def with_flat_spectrum(self) -> "FeatureMatrix":
        """Return a matrix with the same eigenvectors, rank and trace whose eigenvalues are all equal, or zero."""
        _, s, vt = torch.linalg.svd(self.factor, full_matrices=False)  # (groups, r), (groups, r, patch)
        rounding = max(self.factor.shape[1:]) * torch.finfo(s.dtype).eps
        kept = s > rounding * s.amax(1, keepdim=True)  # as `torch.linalg.matrix_rank` counts them
        equal = (self.trace() / kept.sum(1)).sqrt()  # (groups,)
        return self._with((kept * equal.unsqueeze(1)).unsqueeze(2) * vt)

    def _with(self, factor: torch.Tensor) -> "FeatureMatrix":
        """Return the matrix of another factor, to which a standard error no longer applies."""
        return replace(self, factor=factor, standard_error=math.nan if self.standard_error else 0.0)


def nfm(network: nn.Module, layers: Selection | None = None) -> dict[str, FeatureMatrix]:
    """Return the neural feature matrix ``W.T @ W`` by layer, of each group or head.

    `layers` selects linear maps, as for `ansatz.networks.maps.linear_maps`; by default all.
    """
    with evaluating(network):
        maps = linear_maps(network, layers)
        for name, each in maps.items():
            if not has_values(each.source):
                raise UserError(f"NFM: {name} has no values yet; run the network on one batch, or load its weights")
        return {name: FeatureMatrix(each.grouped(each.source), each.shape) for name, each in maps.items()}


def centred_nfm(network: nn.Module, initial: nn.Module, layers: Selection | None = None) -> dict[str, FeatureMatrix]:
    """Return ``(W - V).T @ (W - V)`` by layer, V its weight in the initial network: what training added."""
    before, after = nfm(initial, layers), nfm(network, layers)
    return {name: replace(own, factor=own.factor - before[name].factor.to(own.factor)) for name, own in after.items()}


def eigenvectors(matrix: FeatureMatrix, count: int, group: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest eigenvalues of a feature matrix and their eigenvectors, as patches.

    Parameters
    ----------
    matrix : FeatureMatrix
    count : int
        At most this many; a factor has as many as rows or columns, whichever are fewer.
    group : int
        Which of the convolution's groups; each has a matrix of its own.

    Returns
    -------
    values : Tensor
        float64 (count,), in descending order.
    vectors : Tensor
        float64 (count, channels, rows, columns), of norm 1; the entry of largest magnitude is positive. What a layer
        sees that is no patch is one if it may be a flattened square image, grey or in colours; otherwise it is a row.
    """
    _, s, vt = torch.linalg.svd(matrix.factor[group].double(), full_matrices=False)  # (r,), (r, patch)
    values, vectors = s[:count].square(), vt[:count]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))  # (count, 1)
    return values, (vectors * largest.sign()).unflatten(1, _as_patch(matrix.shape))


def _as_patch(shape: Shape) -> tuple[int, ...]:
    """Return channels, rows and columns of what has a shape of one entry."""
    if len(shape) > 1:
        return shape
    (size,) = shape
    for channels in (1, 3):
        side = math.isqrt(size // channels)
        if channels * side**2 == size:
            return channels, side, side
    return 1, 1, size
