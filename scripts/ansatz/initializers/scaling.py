"""Scalings: how feature matrices become covariances of filters."""

import math
from dataclasses import replace

import torch

from ansatz.features.matrix import FeatureMatrix

SHIFT = 1e-6  # what the released code adds to eigenvalues, besides the magnitude of a negative one, of rounding alone


def trace_scaling(matrix: FeatureMatrix, *, kind: str, scale: str, fan_in: int) -> FeatureMatrix:
    """Scale to trace 1; at the scale ``kaiming`` to trace 2, which is that of Kaiming-normal filters."""
    return matrix.scaled((2 if scale == "kaiming" else 1) / matrix.trace())


def released_scaling(matrix: FeatureMatrix, *, kind: str, scale: str, fan_in: int) -> FeatureMatrix:
    """Scale as in the study's released code.

    AGOP is replaced by its square root. To a matrix that is not positive definite, 10⁻⁶ times the identity is added.
    The scale ``unit`` has trace 1; ``kaiming`` multiplies the unnormalised matrix by √2 / √fan_in, and in the case of
    AGOP also by 1/100.
    """
    if kind == "agop":
        matrix = matrix.square_root()
    rank, patch = matrix.factor.shape[1:]
    if rank < patch:  # the factor has more columns than rows, so the smallest eigenvalue is 0
        shift = SHIFT**0.5 * torch.eye(patch).expand(len(matrix.factor), -1, -1)  # (groups, patch, patch)
        matrix = replace(matrix, factor=torch.cat([matrix.factor, shift], dim=1))  # F.T @ F + shift.T @ shift
    if scale != "kaiming":
        return matrix.scaled(1 / matrix.trace())
    return matrix.scaled(math.sqrt(2 / fan_in) / (100 if kind == "agop" else 1))


COVARIANCE_SCALINGS = {"trace": trace_scaling, "released": released_scaling}
