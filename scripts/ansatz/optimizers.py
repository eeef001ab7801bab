"""Name -> how parameters move along their gradients: the arithmetic of ``torch.optim``.

Its functions are called, not its classes: these import PyTorch's compiler first, which takes longer than an epoch of a
small network.
"""

from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from torch import nn
from torch.optim.adadelta import adadelta
from torch.optim.adam import adam
from torch.optim.sgd import sgd


class Optimizer:
    """What optimizers share: the parameters, and for each of them what is remembered from step to step.

    Parameters
    ----------
    network : nn.Module
        On the device it is trained on.
    momentum : float
        Of SGD.
    weight_decay : float
    epsilon : float, optional
        What keeps Adam and Adadelta from dividing by zero; PyTorch's for each, if not given.

    Attributes
    ----------
    state : dict of str to list of Tensor
        What a checkpoint keeps.
    """

    MEMORIES: ClassVar[tuple[str, ...]] = ()  # of a parameter's shape each
    EPSILON: ClassVar[float] = 0.0

    def __init__(
        self, network: nn.Module, *, momentum: float = 0.0, weight_decay: float = 0.0, epsilon: float | None = None
    ) -> None:
        self.parameters: list[torch.Tensor] = [p for p in network.parameters() if p.requires_grad]
        self.momentum, self.weight_decay = momentum, weight_decay
        self.epsilon = self.EPSILON if epsilon is None else epsilon
        self.state = {name: [torch.zeros_like(p) for p in self.parameters] for name in self.MEMORIES}
        self.state["steps"] = [torch.zeros((), device=p.device) for p in self.parameters]

    def load(self, state: Mapping[str, list[torch.Tensor]]) -> None:
        """Go on from a checkpoint's state."""
        for name, tensors in self.state.items():
            for tensor, saved in zip(tensors, state[name], strict=True):
                tensor.copy_(saved)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the parameters along their gradients, and forget these."""
        self.update([cast(torch.Tensor, parameter.grad) for parameter in self.parameters], learning_rate)
        for parameter in self.parameters:
            parameter.grad = None

    def update(self, gradients: list[torch.Tensor], learning_rate: float) -> None:
        """Move the parameters along gradients, one for each."""
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum."""

    MEMORIES = ("momenta",)

    def update(self, gradients: list[torch.Tensor], learning_rate: float) -> None:
        """See `Optimizer`."""
        sgd(
            self.parameters,
            gradients,
            self.state["momenta"],  # type: ignore[arg-type]  # a list of tensors is a list of tensors or None
            lr=learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            dampening=0,
            nesterov=False,
            maximize=False,
            fused=True,
        )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with weight decay in the gradient, and PyTorch's constants."""

    MEMORIES, EPSILON = ("means", "squares"), 1e-8

    def update(self, gradients: list[torch.Tensor], learning_rate: float) -> None:
        """See `Optimizer`."""
        adam(
            self.parameters,
            gradients,
            self.state["means"],
            self.state["squares"],
            [],
            self.state["steps"],
            lr=learning_rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=self.weight_decay,
            eps=self.epsilon,
            amsgrad=False,
            maximize=False,
            fused=True,
        )


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012), with PyTorch's constants."""

    MEMORIES, EPSILON = ("squares", "changes"), 1e-6

    def update(self, gradients: list[torch.Tensor], learning_rate: float) -> None:
        """See `Optimizer`."""
        adadelta(
            self.parameters,
            gradients,
            self.state["squares"],
            self.state["changes"],
            self.state["steps"],
            lr=learning_rate,
            rho=0.9,
            weight_decay=self.weight_decay,
            eps=self.epsilon,
            maximize=False,
        )


OPTIMIZERS = {"sgd": SGD, "adam": Adam, "adadelta": Adadelta}
