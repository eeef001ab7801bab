"""How a network is trained; importable without PyTorch, as the configuration checks it too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval

from ansatz.errors import UserError
from ansatz.training.schedules import FACTORS, hyperparameters, warmed_up

OptimizerName = Literal["sgd", "adam", "adamw", "adadelta"]
ScheduleName = Literal["constant", "step", "cosine"]
Precision = Literal["float32", "bfloat16"]
Compile = Literal["auto", True, False]
# Optimizer -> the hyperparameters it has besides learning rate and weight decay; PyTorch's defaults but for SGD.
OPTIMIZERS: dict[OptimizerName, dict[str, Any]] = {
    "sgd": {"momentum": 0.9},
    "adam": {"epsilon": 1e-8},
    "adamw": {"epsilon": 1e-8},
    "adadelta": {"epsilon": 1e-6},
}
SCHEDULES = {name: hyperparameters(schedule) for name, schedule in FACTORS.items()}
CHOICES: dict[str, dict[Any, dict[str, Any]]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
# Hyperparameter -> the key of the choice that has it, and which of the choices have it.
HYPERPARAMETERS: dict[str, tuple[str, list[str]]] = {
    name: (key, [choice for choice, names in choices.items() if name in names])
    for key, choices in CHOICES.items()
    for hyperparameters in choices.values()
    for name in hyperparameters
}


@dataclass(frozen=True)
class Augmentation:
    """How training images are changed at random, each anew in every epoch.

    Parameters
    ----------
    flip : bool
        Whether half of the images are flipped from left to right.
    crop : int
        Images are shifted by up to this many pixels in each direction; the border is filled with zeros, the mean of
        normalised images. This is a random crop with padding.
    """

    flip: bool = False
    crop: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained on cross-entropy.

    Parameters
    ----------
    epochs : int
        Passes over the training images.
    batch_size : int
        Images per step.
    optimizer : {"sgd", "adam", "adamw", "adadelta"}
        The optimizer.
    learning_rate : float
        Learning rate, before warm-up and schedule.
    momentum : float, optional
        Momentum of SGD; 0.9 by default.
    weight_decay : float
        Weight decay, on all parameters; of adamw it is decoupled from the gradient (Loshchilov and Hutter 2019), of the
        others added to it.
    epsilon : float, optional
        The term that keeps Adam, AdamW and Adadelta from dividing by zero; by default 1e-8, 1e-8 and 1e-6.
    schedule : {"constant", "step", "cosine"}
        How the learning rate changes: step multiplies it by `gamma` after each of the `milestones`; cosine lowers it in
        every step, along half a period of the cosine, to almost 0 in the last (Loshchilov and Hutter 2017).
    milestones : sequence of int, optional
        Epochs after which the schedule step multiplies the learning rate by `gamma`; none by default.
    gamma : float, optional
        Factor of the learning rate at each milestone; 0.1 by default.
    warmup : float
        Epochs in which the learning rate first rises, linearly in every step (Goyal et al. 2017).
    gradient_clipping : float, optional
        Largest norm of the gradient by all parameters together; larger ones are scaled down to it (Pascanu, Mikolov and
        Bengio 2013).
    label_smoothing : float
        Share of each label that is spread evenly over all classes (Szegedy et al. 2016). Losses are reported without
        it, those of training too.
    augment : Augmentation
        How training images are changed at random; may be given as a mapping.
    early_stopping : int, optional
        Training ends after so many epochs in a row without a better validation accuracy; by default, it never does.
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
        If there is no such optimizer or schedule, a hyperparameter is set that it does not have, or the warm-up takes
        all epochs.
    """

    epochs: Annotated[int, Ge(1)] = 20
    batch_size: Annotated[int, Ge(1)] = 64
    optimizer: OptimizerName = "sgd"
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    momentum: Annotated[float, Interval(ge=0, lt=1)] | None = None
    weight_decay: Annotated[float, Ge(0)] = 5e-4
    epsilon: Annotated[float, Gt(0)] | None = None
    schedule: ScheduleName = "step"
    milestones: Sequence[Annotated[int, Ge(1)]] | None = None
    gamma: Annotated[float, Gt(0)] | None = None
    warmup: Annotated[float, Ge(0)] = 0.0
    gradient_clipping: Annotated[float, Gt(0)] | None = None
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    augment: Augmentation = Augmentation()
    early_stopping: Annotated[int, Ge(1)] | None = None
    precision: Precision = "float32"
    compile: Compile = "auto"
    metrics: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.augment, Mapping):  # as a configuration file has it
            object.__setattr__(self, "augment", Augmentation(**self.augment))
        for key, choices in CHOICES.items():
            if getattr(self, key) not in choices:
                raise UserError(f"{key}: {getattr(self, key)!r} is none of {', '.join(choices)}")
        for name, (key, having) in HYPERPARAMETERS.items():
            if getattr(self, name) is not None and getattr(self, key) not in having:
                raise UserError(f"{name}: {getattr(self, name)}, but {getattr(self, key)} has no {name}")
        if self.warmup >= self.epochs:
            raise UserError(f"warmup: {self.warmup} epochs of {self.epochs}; it must be below {self.epochs}")

    def hyperparameters(self, key: Literal["optimizer", "schedule"]) -> dict[str, Any]:
        """Return what the optimizer has besides learning rate and weight decay, or the schedule's hyperparameters.

        Those that are not set have their defaults.
        """
        defaults = CHOICES[key][getattr(self, key)]
        return {
            name: default if (value := getattr(self, name)) is None else value for name, default in defaults.items()
        }

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of a step, counted from 0 and from the start of the training."""
        warmup = round(self.warmup * steps_per_epoch)  # in steps
        moments = step / steps_per_epoch, warmup / steps_per_epoch, self.epochs
        factor = FACTORS[self.schedule](*moments, **self.hyperparameters("schedule"))
        return self.learning_rate * (warmed_up(step, warmup) * factor)
