"""Filters at the scale at which a layer's outputs have variance 1."""

import math

import torch

from ansatz.errors import UserError
from ansatz.features.inputs import LayerInputs

TOLERANCE = 1e-3  # of the variance
ROUNDS = 10  # without a bias, outputs are proportional to filters, and the first round already ends at 1


def unit_variance_(weight: torch.Tensor, inputs: LayerInputs) -> None:
    """Divide a layer's filters by the standard deviation of their outputs for a batch, until it is 1.

    This is the second step of algorithm 1 of Mishkin and Matas (2016), "All you need is a good init". What the filters
    look for stays; how strongly they respond no longer depends on the initializer.

    Parameters
    ----------
    weight : Tensor
        The weight of the layer, scaled in place.
    inputs : LayerInputs
        Its inputs.

    Raises
    ------
    UserError
        If its outputs are all the same, or not finite.
    """
    for _ in range(ROUNDS):
        std = inputs.output_std()
        if not 0 < std < math.inf:
            raise UserError(f"initializer: lsuv cannot scale layer {inputs.layer}, whose outputs have deviation {std}")
        if abs(std**2 - 1) < TOLERANCE:
            return
        weight.div_(std)
