"""The section `training`, wherever it is: the keys, defaults and meanings of the library's `TrainingConfig`."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from inspect import getdoc
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, create_model, model_serializer, model_validator

from ansatz.declarations import parameters_of_docstring
from ansatz.training.config import HYPERPARAMETERS, Augmentation, Compile, OptimizerName, ScheduleName, TrainingConfig
from ansatz.workflow.configuration.mistakes import at, have, shown
from ansatz.workflow.configuration.types import (
    DISTINCT,
    UNIQUE,
    Count,
    Index,
    Named,
    NotNegative,
    OneOf,
    Positive,
    Section,
)


def _key(name: str, library: Any = TrainingConfig, **extra: Any) -> Any:
    """Return the field of a key, with the default and the meaning that the library gives it."""
    (default,) = (field.default for field in fields(library) if field.name == name)
    default = list(default) if isinstance(default, tuple) else default
    return Field(default, description=parameters_of_docstring(getdoc(library) or "")[name], **extra)


class AugmentSection(Section):
    """How training images are changed at random."""

    flip: bool = _key("flip", Augmentation)
    crop: Index = _key("crop", Augmentation)


class TrainingSection(Section):
    """How a network is trained."""

    epochs: Count = _key("epochs")
    batch_size: Count = _key("batch_size")
    optimizer: Annotated[OptimizerName, OneOf()] = _key("optimizer")
    learning_rate: Positive = _key("learning_rate")
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = _key("momentum")
    weight_decay: NotNegative = _key("weight_decay")
    epsilon: Positive | None = _key("epsilon")
    schedule: Annotated[ScheduleName, OneOf()] = _key("schedule")
    milestones: Annotated[list[Count], DISTINCT] | None = _key("milestones", json_schema_extra=UNIQUE)
    gamma: Positive | None = _key("gamma")
    warmup: NotNegative = _key("warmup")
    gradient_clipping: Positive | None = _key("gradient_clipping")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = _key("label_smoothing")
    augment: AugmentSection = Field(AugmentSection(), description="How training images are changed at random.")
    early_stopping: Count | None = _key("early_stopping")
    metrics: Annotated[list[Annotated[str, Named("metric")]], DISTINCT] = _key("metrics", json_schema_extra=UNIQUE)
    compile: Annotated[Compile, OneOf()] = _key("compile")

    @model_validator(mode="after")
    def _check_choices(self) -> "TrainingSection":
        for name, (key, having) in HYPERPARAMETERS.items():
            if (value := getattr(self, name)) is not None and (choice := getattr(self, key)) not in having:
                raise at((name,), f"{shown(value)}, but {choice} has no {name}; {have(having)}")
        for position, milestone in enumerate(self.milestones or ()):
            if milestone >= self.epochs:
                text = f"{milestone} has no effect in {self.epochs} epochs; it must be below {self.epochs}"
                raise at(("milestones", position), text)
        if self.warmup >= self.epochs:
            raise at(("warmup",), f"{shown(self.warmup)} epochs of {self.epochs}; it must be below {self.epochs}")
        if (patience := self.early_stopping) and patience >= self.epochs:
            text = f"{patience} epochs have no effect in {self.epochs}; it must be below {self.epochs}"
            raise at(("early_stopping",), text)
        return self

    @model_serializer(mode="wrap")
    def _of_the_choices(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        lacking = [name for name, (key, having) in HYPERPARAMETERS.items() if getattr(self, key) not in having]
        return {key: value for key, value in inner(self).items() if key not in lacking}

    @classmethod
    def with_defaults(cls, defaults: Mapping[str, Any]) -> "type[TrainingSection]":
        """Return the same section with other defaults."""
        return _with_defaults(tuple(defaults.items()))


@cache
def _with_defaults(defaults: tuple[tuple[str, Any], ...]) -> type[TrainingSection]:
    changed: dict[str, Any] = {}
    for name, value in defaults:
        field = TrainingSection.model_fields[name]
        changed[name] = (field.rebuild_annotation(), Field(value, description=field.description, validate_default=True))
    return create_model("TrainingSection", __base__=TrainingSection, **changed) if changed else TrainingSection
