"""How a network is trained; importable without PyTorch, as the configuration checks it too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval

from ansatz.errors import UserError

OptimizerName = Literal["sgd", "adam", "adadelta"]
Precision = Literal["float32", "bfloat16"]
Compile = Literal["auto", True, False]
# Optimizer -> the hyperparameters it has besides learning rate and weight decay, with PyTorch's defaults for Adam and
# Adadelta.
OPTIMIZERS: dict[OptimizerName, dict[str, float]] = {
    "sgd": {"momentum": 0.9},
    "adam": {"epsilon": 1e-8},
    "adadelta": {"epsilon": 1e-6},
}


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained on cross-entropy.

    Parameters
    ----------
    epochs : int
        Passes over the training images.
    batch_size : int
        Images per step.
    optimizer : {"sgd", "adam", "adadelta"}
        The optimizer.
    learning_rate : float
        Learning rate of the first epoch.
    momentum : float, optional
        Momentum of SGD; 0.9 by default.
    weight_decay : float
        Weight decay, on all parameters.
    epsilon : float, optional
        The term that keeps Adam and Adadelta from dividing by zero; by default 1e-8 and 1e-6.
    milestones : sequence of int
        Epochs after which the learning rate is multiplied by `gamma`.
    gamma : float
        Factor of the learning rate at each milestone.
    precision : {"float32", "bfloat16"}
        Precision of forward and backward passes (autocast); parameters stay float32.
    compile : bool or "auto"
        Whether training steps are compiled; ``auto`` compiles on a GPU if the run is long enough to gain from it.
        Compiled networks draw different dropout masks, from the same distribution.
    metrics : sequence of str
        Registered metrics to compute in each epoch besides loss and accuracy.

    Raises
    ------
    UserError
        If there is no such optimizer, or a hyperparameter is set that it does not have.
    """

    epochs: Annotated[int, Ge(1)] = 20
    batch_size: Annotated[int, Ge(1)] = 64
    optimizer: OptimizerName = "sgd"
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    momentum: Annotated[float, Interval(ge=0, lt=1)] | None = None
    weight_decay: Annotated[float, Ge(0)] = 5e-4
    epsilon: Annotated[float, Gt(0)] | None = None
    milestones: Sequence[Annotated[int, Ge(1)]] = ()
    gamma: Annotated[float, Gt(0)] = 0.1
    precision: Precision = "float32"
    compile: Compile = "auto"
    metrics: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UserError(f"optimizer: {self.optimizer!r} is none of {', '.join(OPTIMIZERS)}")
        for name in ("momentum", "epsilon"):
            if getattr(self, name) is not None and name not in OPTIMIZERS[self.optimizer]:
                raise UserError(f"{name}: {getattr(self, name)}, but {self.optimizer} has no {name}")

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The optimizer's hyperparameters besides learning rate and weight decay, with defaults filled in."""
        defaults = OPTIMIZERS[self.optimizer]
        return {
            name: default if (value := getattr(self, name)) is None else value for name, default in defaults.items()
        }

    def learning_rate_of(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 1."""
        return self.learning_rate * self.gamma ** sum(milestone < epoch for milestone in self.milestones)
