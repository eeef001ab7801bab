"""Initializers that need no feature matrices."""

import math
from typing import Annotated

import torch
from annotated_types import Gt
from torch import nn

from ansatz.registry import initializer


@initializer(needs_position=True)
def normal(
    weight: torch.Tensor,
    generator: torch.Generator,
    position: int,
    *,
    std: Annotated[float, Gt(0)] = 0.05,
    first_std: Annotated[float, Gt(0)] | None = None,
) -> None:
    """N(0, std²).

    Parameters
    ----------
    std : float
        Standard deviation of the filters; the default is the study's.
    first_std : float, optional
        Standard deviation in the first layer; `std` by default.
    """
    if first_std is not None and position == 0:
        std = first_std
    nn.init.normal_(weight, std=std, generator=generator)


@initializer
def uniform(weight: torch.Tensor, generator: torch.Generator) -> None:
    """U(-0.025, 0.025), as in the study."""
    nn.init.uniform_(weight, -0.025, 0.025, generator=generator)


@initializer
def xavier_normal(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Normal with the variance of Glorot and Bengio (2010), gain √2."""
    nn.init.xavier_normal_(weight, gain=math.sqrt(2), generator=generator)


@initializer
def xavier_uniform(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Uniform with the variance of Glorot and Bengio (2010), gain √2."""
    nn.init.xavier_uniform_(weight, gain=math.sqrt(2), generator=generator)


@initializer
def kaiming_uniform(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Uniform with the variance of He et al. (2015): fan-in, ReLU."""
    nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)


@initializer
def kaiming_normal(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Normal with the variance of He et al. (2015): fan-in, ReLU."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


@initializer
def orthogonal(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Orthogonal filters (Saxe, McClelland and Ganguli 2014), gain √2."""
    nn.init.orthogonal_(weight, gain=math.sqrt(2), generator=generator)
