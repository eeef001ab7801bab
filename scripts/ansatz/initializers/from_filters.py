"""Initializers that take the filters of a source themselves: the factor of its NFM."""

import math
from dataclasses import replace

import torch

from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix
from ansatz.initializers.drawing import draw_
from ansatz.registry import initializer


@initializer(needs="nfm", scale=None)
def filter_covariance(weight: torch.Tensor, generator: torch.Generator, filters: FeatureMatrix) -> None:
    """Gaussian filters with the covariance of the source's, about their mean (Trockman, Willmott and Kolter 2023).

    The filters of a depthwise convolution see a channel each, alone in their groups: their covariance is over the
    filters of all groups.
    """
    rows = filters.factor  # (groups, n, patch)
    if filters.shape[0] == 1:
        rows = rows.flatten(0, 1).unsqueeze(0)  # (1, groups * n, patch)
    deviations = (rows - rows.mean(1, keepdim=True)) / math.sqrt(rows.shape[1])
    if not deviations.any():
        raise UserError("source: all filters of a layer are the same, so that they have no covariance")
    draw_(weight, generator, replace(filters, factor=deviations))


@initializer(needs="nfm", scale=None)
def weights(weight: torch.Tensor, generator: torch.Generator, filters: FeatureMatrix) -> None:
    """The source's own filters; evenly chosen ones where it has more: weight selection (Xu et al. 2024)."""
    rows = filters.factor.flatten(0, 1)  # (filters of the source, patch)
    if len(rows) < len(weight):
        raise UserError(f"source: a layer has {len(rows)} filters, too few to be copied to one of {len(weight)}")
    chosen = torch.arange(len(weight)) * len(rows) // len(weight)
    weight.copy_(rows[chosen].reshape(weight.shape))
