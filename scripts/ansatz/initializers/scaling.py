"""Scalings: how feature matrices become covariances of filters."""

import math

from ansatz.features.matrix import FeatureMatrix


def trace_scaling(matrix: FeatureMatrix, *, kind: str, scale: str, fan_in: int) -> FeatureMatrix:
    """Scale to trace 1; at the scale ``kaiming`` to trace 2, which is that of Kaiming-normal filters."""
    return matrix.scaled((2 if scale == "kaiming" else 1) / matrix.trace())


def released_scaling(matrix: FeatureMatrix, *, kind: str, scale: str, fan_in: int) -> FeatureMatrix:
    """Scale as in the study's released code.

    AGOP is replaced by its square root. The scale ``unit`` has trace 1; ``kaiming`` multiplies the unnormalised matrix
    by √2 / √fan_in, and in the case of AGOP also by 1/100.
    """
    if kind == "agop":
        matrix = matrix.square_root()
    if scale != "kaiming":
        return matrix.scaled(1 / matrix.trace())
    return matrix.scaled(math.sqrt(2 / fan_in) / (100 if kind == "agop" else 1))


COVARIANCE_SCALINGS = {"trace": trace_scaling, "released": released_scaling}
