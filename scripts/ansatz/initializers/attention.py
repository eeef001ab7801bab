"""Initializers of transformers, which draw the layers of an attention jointly."""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import nn

from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix
from ansatz.initializers.drawing import draw_
from ansatz.initializers.role import Role
from ansatz.registry import initializer


@initializer
def trunc_normal(weight: torch.Tensor, generator: torch.Generator, *, std: Annotated[float, Gt(0)] = 0.02) -> None:
    """N(0, std²), without what is beyond 2 std: the usual start of vision transformers (Dosovitskiy et al. 2021).

    Parameters
    ----------
    std : float
        Standard deviation of the normal distribution that is truncated.
    """
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)


@initializer(needs_role=True)
def mimetic(
    weight: torch.Tensor,
    generator: torch.Generator,
    role: Role | None,
    *,
    alpha_qk: Annotated[float, Ge(0)] = 0.7,
    beta_qk: Annotated[float, Ge(0)] = 0.7,
    alpha_vo: Annotated[float, Ge(0)] = 0.4,
    beta_vo: Annotated[float, Ge(0)] = 0.4,
) -> None:
    """Attention that looks trained: mimetic (Trockman and Kolter 2023); `trunc_normal` in layers of other kinds.

    In each head, ``W_q.T @ W_k`` is the best approximation of ``alpha Z + beta I`` of its rank; ``W_v.T @ W_out.T`` is
    ``alpha Z - beta I``. Entries of Z are N(0, 1/channels). Both are divided by the singular value decomposition.

    Parameters
    ----------
    alpha_qk, beta_qk : float
        Of queries and keys.
    alpha_vo, beta_vo : float
        Of values and outputs.
    """
    if role is None:
        trunc_normal(weight, generator)
        return
    channels = len(weight)
    if weight.shape[1] != channels:
        raise UserError(f"initializer mimetic: an attention has {weight.shape[1]} inputs for {channels} channels")
    is_first = role.name in ("q", "v")
    if role.name in ("q", "k"):
        size = channels // role.heads
        factors = [_factors(channels, alpha_qk, beta_qk, role.generator) for _ in range(role.heads)]
        left, right = (torch.cat([each[side][:size] for each in factors]) for side in (0, 1))  # (channels, channels)
    else:
        left, right = _factors(channels, alpha_vo, -beta_vo, role.generator)
        right = right.mT
    weight.copy_(left if is_first else right)


def _factors(channels: int, alpha: float, beta: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return L and R with ``L.T @ R = alpha Z + beta I``, rows by falling singular value."""
    z = torch.randn(channels, channels, generator=generator) / math.sqrt(channels)
    u, s, vt = torch.linalg.svd(alpha * z + beta * torch.eye(channels))
    root = s.sqrt().unsqueeze(1)
    return root * u.mT, root * vt


@initializer(needs="nfm", scale="source", needs_role=True)
def nfm_joint(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix, role: Role | None) -> None:
    """Gaussian filters whose covariance is the NFM, at the scale of the source; queries and keys are drawn jointly.

    With the same random numbers Z, ``W_q = Z F_q`` and ``W_k = Z F_k`` keep what scores consist of: the expectation of
    ``W_q.T @ W_k`` is that of the source, in each head. If they were drawn independently, it would be zero.
    """
    draw_(weight, role.generator if role and role.name in ("q", "k") else generator, covariance)
