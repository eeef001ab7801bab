"""The optimizers of ``torch.optim``, called as functions.

Constructing one of PyTorch's optimizer classes imports PyTorch's compiler, which takes 2.1 s (1.6 to 5.9 s, n = 18, one
thread of a 2-core machine), as long as two epochs of the default study's network; the functions behind them start in
5 ms. Both compute the same bits, and steps take the same time: class / function is 0.98 for VGG11 of width 0.125 and
0.91 at full width (medians of 7 pairs, which scatter by 10 to 20 %).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import nn
from torch.optim.adadelta import adadelta
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from ansatz.training.config import TrainingConfig

Tensors = list[torch.Tensor]
State = dict[str, Any]  # name -> Tensors; PyTorch types some as lists with None


class Optimizer:
    """Updates the parameters of a network as its training's configuration says.

    Parameters
    ----------
    network : nn.Module
        On the device it is trained on.
    config : TrainingConfig

    Attributes
    ----------
    state : dict of str to list of Tensor
        What the optimizer remembers of each parameter between steps; part of a checkpoint.
    """

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        self.parameters: Tensors = [p for p in network.parameters() if p.requires_grad]
        self.largest = config.gradient_clipping
        self.constants = {"weight_decay": config.weight_decay, **config.hyperparameters("optimizer")}
        self.update, buffers = UPDATES[config.optimizer]
        self.state: State = {name: [torch.zeros_like(p) for p in self.parameters] for name in buffers}
        self.state["steps"] = [torch.zeros((), device=p.device) for p in self.parameters]

    def load_state(self, state: Mapping[str, Tensors]) -> None:
        """Continue from the state in a checkpoint."""
        for name, tensors in self.state.items():
            for tensor, saved in zip(tensors, state[name], strict=True):
                tensor.copy_(saved)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the parameters from their gradients, and clear these."""
        if self.largest is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.largest)
        gradients = [cast(torch.Tensor, parameter.grad) for parameter in self.parameters]
        self.update(self.parameters, gradients, self.state, lr=learning_rate, **self.constants)
        for parameter in self.parameters:
            parameter.grad = None


def _sgd(parameters: Tensors, gradients: Tensors, state: State, *, momentum: float, **common: Any) -> None:
    """Stochastic gradient descent with momentum."""
    flags: dict[str, Any] = {"dampening": 0, "nesterov": False, "maximize": False, "fused": True}
    sgd(parameters, gradients, state["momenta"], momentum=momentum, **common, **flags)


def _adam(parameters: Tensors, gradients: Tensors, state: State, *, epsilon: float, **common: Any) -> None:
    """Adam (Kingma and Ba 2015), with weight decay added to the gradient unless ``decoupled_weight_decay`` is given."""
    buffers: list[Any] = [state["means"], state["squares"], [], state["steps"]]  # the empty one is AMSGrad's
    flags: dict[str, Any] = {"beta1": 0.9, "beta2": 0.999, "amsgrad": False, "maximize": False, "fused": True}
    cast(Any, adam)(parameters, gradients, *buffers, eps=epsilon, **common, **flags)


def _adadelta(parameters: Tensors, gradients: Tensors, state: State, *, epsilon: float, **common: Any) -> None:
    """Adadelta (Zeiler 2012)."""
    buffers = state["squares"], state["changes"], state["steps"]
    adadelta(parameters, gradients, *buffers, eps=epsilon, rho=0.9, maximize=False, **common)


# Optimizer -> its update, and its buffers in the shape of each parameter.
UPDATES: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "sgd": (_sgd, ("momenta",)),
    "adam": (_adam, ("means", "squares")),
    "adamw": (partial(_adam, decoupled_weight_decay=True), ("means", "squares")),
    "adadelta": (_adadelta, ("squares", "changes")),
}
