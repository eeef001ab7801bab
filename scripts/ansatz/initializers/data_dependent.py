"""Initializers that look at the patches of training images."""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import nn

from ansatz.errors import UserError
from ansatz.features.inputs import LayerInputs
from ansatz.initializers.classic import dirac
from ansatz.initializers.unit_variance import unit_variance_
from ansatz.registry import initializer


@initializer(needs_images=True)
def lsuv(weight: torch.Tensor, generator: torch.Generator, inputs: LayerInputs) -> None:
    """Orthogonal filters at the scale at which outputs have variance 1: LSUV (Mishkin and Matas 2016)."""
    nn.init.orthogonal_(weight, generator=generator)
    unit_variance_(weight, inputs)


@initializer(needs_position=True, needs_groups=True, needs_images=True)
def whitening(
    weight: torch.Tensor,
    generator: torch.Generator,
    position: int,
    groups: int,
    inputs: LayerInputs,
    *,
    epsilon: Annotated[float, Gt(0)] = 5e-4,
) -> None:
    """Filters that whiten the patches of the images in the first layer (Jordan 2024), `dirac` in the others.

    With ``V diag(s) V.T`` the second moment of the patches, the filters are the rows of
    ``diag(s + epsilon)^(-1/2) V.T``, from the largest eigenvalue on, and then their negatives, as far as there are
    filters. Where there are more, the others are random combinations of these rows, of the same scale.

    Parameters
    ----------
    epsilon : float
        What is added to the eigenvalues, so that filters of directions without variance stay bounded.
    """
    if position:
        dirac(weight, generator, groups)
        return
    patch, filters = weight[0].numel(), len(weight) // groups
    moment, count = torch.zeros(groups, patch, patch, dtype=torch.float64), 0
    for patches in inputs.patches():  # (groups, n, patch)
        moment += (patches.mT @ patches).double().cpu()
        count += patches.shape[1]
    values, vectors = torch.linalg.eigh(moment / count)  # in ascending order
    scaled = vectors / (values.clamp_min(0) + epsilon).sqrt().unsqueeze(1)
    rows = scaled.mT.flip(1)  # (groups, patch, patch)
    z = torch.randn(groups, filters, patch, generator=generator, dtype=torch.float64)
    rest = z / z.norm(dim=2, keepdim=True) @ rows  # (groups, filters, patch)
    weight.copy_(torch.cat((rows, -rows, rest), dim=1)[:, :filters].reshape(weight.shape))


@initializer(needs_groups=True, needs_images=True)
def patch_covariance(weight: torch.Tensor, generator: torch.Generator, groups: int, inputs: LayerInputs) -> None:
    """Gaussian filters whose covariance is the second moment of the layer's patches, at the scale of `kaiming_normal`.

    It needs no labels and no source. The factor of the second moment is the patches ``V`` themselves: a row of
    ``Z @ V`` with ``Z ~ N(0, I)`` has covariance ``V.T @ V``, of which no dense matrix is made.
    """
    filters = torch.zeros(groups, len(weight) // groups, weight[0].numel())
    trace = torch.zeros(groups)
    for patches in inputs.patches():  # (groups, n, patch)
        z = torch.randn(*filters.shape[:2], patches.shape[1], generator=generator)
        filters += (z.to(patches.device) @ patches).cpu()
        trace += patches.square().sum((1, 2)).cpu()
    if not bool((trace > 0).all()):
        raise UserError(f"initializer patch_covariance: layer {inputs.layer} sees zeros only")
    weight.copy_((filters * (2 / trace).sqrt().view(-1, 1, 1)).reshape(weight.shape))
