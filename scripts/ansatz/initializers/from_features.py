"""Initializers that draw filters from feature matrices."""

import torch

from ansatz.features.matrix import FeatureMatrix
from ansatz.initializers.drawing import draw_
from ansatz.registry import initializer


@initializer(needs="nfm")
def nfm(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the NFM."""
    draw_(weight, generator, covariance)


@initializer(needs="agop")
def agop(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the AGOP."""
    draw_(weight, generator, covariance)


@initializer(needs="nfm", scale="kaiming")
def kaiming_nfm(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the NFM at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance)


@initializer(needs="agop", scale="kaiming")
def kaiming_agop(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the AGOP at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance)
