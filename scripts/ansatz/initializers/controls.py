"""Initializers that draw from a part of a feature matrix, to find out which part matters."""

import torch
from torch import nn

from ansatz.features.matrix import FeatureMatrix
from ansatz.initializers.drawing import draw_
from ansatz.registry import initializer


@initializer(needs="nfm")
def nfm_spectrum(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters with the eigenvalues of the NFM and random eigenvectors."""
    draw_(weight, generator, covariance.with_random_basis(generator))


@initializer(needs="nfm", scale="kaiming")
def kaiming_nfm_spectrum(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters with the eigenvalues of the NFM and random eigenvectors, at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance.with_random_basis(generator))


@initializer(needs="agop")
def agop_spectrum(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters with the eigenvalues of the AGOP and random eigenvectors."""
    draw_(weight, generator, covariance.with_random_basis(generator))


@initializer(needs="agop", scale="kaiming")
def kaiming_agop_spectrum(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters with the eigenvalues of the AGOP and random eigenvectors, at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance.with_random_basis(generator))


@initializer(needs="nfm")
def nfm_basis(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters with the eigenvectors of the NFM and equal eigenvalues."""
    draw_(weight, generator, covariance.with_flat_spectrum())


@initializer(needs="nfm", scale="kaiming")
def kaiming_nfm_basis(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters with the eigenvectors of the NFM and equal eigenvalues, at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance.with_flat_spectrum())


@initializer(needs="agop")
def agop_basis(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters with the eigenvectors of the AGOP and equal eigenvalues."""
    draw_(weight, generator, covariance.with_flat_spectrum())


@initializer(needs="agop", scale="kaiming")
def kaiming_agop_basis(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters with the eigenvectors of the AGOP and equal eigenvalues, at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance.with_flat_spectrum())


@initializer(needs="nfm", shuffled=True)
def nfm_shuffled(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is another layer's NFM."""
    draw_(weight, generator, covariance)


@initializer(needs="nfm", scale="kaiming", shuffled=True)
def kaiming_nfm_shuffled(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is another layer's NFM, at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance)


@initializer(needs="agop", shuffled=True)
def agop_shuffled(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is another layer's AGOP."""
    draw_(weight, generator, covariance)


@initializer(needs="agop", scale="kaiming", shuffled=True)
def kaiming_agop_shuffled(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is another layer's AGOP, at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance)


@initializer(needs="centred_nfm")
def nfm_centred(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the NFM of what training added to the source's filters."""
    draw_(weight, generator, covariance)


@initializer(needs="centred_nfm", scale="kaiming")
def kaiming_nfm_centred(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the NFM of what training added, at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance)


@initializer(needs_groups=True)
def random_weights(weight: torch.Tensor, generator: torch.Generator, groups: int) -> None:
    """Gaussian filters whose covariance is the NFM of Kaiming-normal filters: of a source that has learned nothing."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    filters = weight.reshape(groups, len(weight) // groups, -1)
    factor = torch.linalg.qr(filters, mode="r").R  # of the same matrix, with no more rows than columns
    random = FeatureMatrix(factor, (*weight.shape[1:],))
    draw_(weight, generator, random.scaled(2 / random.trace()))
