"""Draw filters with a feature matrix as covariance."""

import torch

from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix


def draw_(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Fill a layer's weight with Gaussian filters of this covariance.

    As ``M = F.T @ F``, a row of ``Z @ F`` with ``Z ~ N(0, I)`` has covariance M; no dense matrix is needed.

    Parameters
    ----------
    weight : Tensor
        (out_channels, in_channels / groups, kh, kw), filled in place.
    generator : torch.Generator
    covariance : FeatureMatrix
        Factor (groups, rank, patch).
    """
    factor = covariance.factor  # (groups, rank, patch)
    groups, rank, _ = factor.shape
    if len(weight) % groups:
        raise UserError(f"source: {len(weight)} filters cannot be divided among the {groups} groups of the source")
    z = torch.randn(groups, len(weight) // groups, rank, generator=generator, dtype=factor.dtype)
    weight.copy_((z @ factor).reshape(weight.shape))  # (groups, out/groups, patch) -> (out, in/groups, kh, kw)
