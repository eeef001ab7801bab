"""Initializers that need neither feature matrices nor images."""

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
def xavier_uniform(weight: torch.Tensor, generator: torch.Generator, *, gain: Annotated[float, Gt(0)] = 2**0.5) -> None:
    """Uniform with the variance of Glorot and Bengio (2010), gain √2.

    Parameters
    ----------
    gain : float
        Factor of the standard deviation; √2 by default, and 1 in the MLPs of torchvision's transformers.
    """
    nn.init.xavier_uniform_(weight, gain=gain, generator=generator)


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


@initializer(needs_groups=True)
def delta_orthogonal(weight: torch.Tensor, generator: torch.Generator, groups: int) -> None:
    """Zero but for the filters' centres, which are orthogonal with gain √2: delta-orthogonal (Xiao et al. 2018)."""
    weight.zero_()
    for filters in _centre(weight).chunk(groups):
        nn.init.orthogonal_(filters, gain=math.sqrt(2), generator=generator)


@initializer(needs_groups=True)
def dirac(weight: torch.Tensor, generator: torch.Generator, groups: int) -> None:
    """The identity: each channel is passed on (Zagoruyko and Komodakis 2017); further filters are PyTorch's default.

    `torch.nn.init.dirac_` leaves further filters at zero, where ReLU would keep them; here they are uniform, as in the
    CIFAR-10 speed records (Jordan 2024).
    """
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    for filters in weight.chunk(groups):  # (out/groups, in/groups, kh, kw)
        nn.init.eye_(_centre(filters[: filters.shape[1]].zero_()))


def _centre(weight: torch.Tensor) -> torch.Tensor:
    """Return the centres of filters, (out, in / groups), in their memory; of a linear layer, the weight itself."""
    for side in weight.shape[2:]:
        weight = weight.select(2, side // 2)
    return weight
