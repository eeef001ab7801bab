"""The section `kernels`: tasks, and the machines that learn them."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from ansatz import registry
from ansatz.declarations import Option
from ansatz.errors import UserError
from ansatz.workflow.configuration import options
from ansatz.workflow.configuration.choices import Choice, Machine
from ansatz.workflow.configuration.mistakes import at, have, mistake, unknown_key
from ansatz.workflow.configuration.types import BOUNDED, DISTINCT, UNIQUE, Count, Named, Section, Seeds, Text, Values

DEFAULT_MACHINES = ["cntk", "convrfm", "deep_convrfm", "cnn"]


class KernelExperiment(Section):
    """A task, and the machines that learn it, with the options of both."""

    model_config = ConfigDict(extra="allow")

    task: Annotated[str, Named("task")] = Field("images", description="The task.")
    datasets: Annotated[list[Text], DISTINCT] = Field(
        [],
        description="Datasets whose images the task uses; none for a task that makes its own images.",
        json_schema_extra=UNIQUE,
    )
    noise: Values[Annotated[float, Field(ge=0, le=1e6)]] = Field(
        [0.0], description="Levels of noise, of tasks with noise; the machines are run at each of them."
    )
    train: Annotated[int, Field(ge=5), BOUNDED] = Field(
        1000,
        description="Images to train on. A fifth is held out for model selection; the model is then refitted on all.",
    )
    test: Count = Field(1000, description="Images to test on.")
    seeds: Seeds = Field([0], description="Seeds; the machines are run with each of them.")
    machines: Values[Machine] = Field(
        [Choice(kind="machine", name=name) for name in DEFAULT_MACHINES],
        description="The machines; cntk must be among them, as the others are compared with it.",
    )

    @property
    def shared_options(self) -> dict[str, Any]:
        """Options of the task, and of all machines that have them."""
        return self.model_extra or {}

    def machine_options(self, machine: Choice) -> dict[str, Any]:
        """Return all options of a machine: its own settings, those shared by all machines, or defaults."""
        settings = self.shared_options | machine.options
        return options.completed(options.options_of(machine.definition, settings), settings)

    def task_options(self, noise: float) -> dict[str, Any]:
        """Return all options of the task, at a level of noise."""
        return options.completed(registry.define("task", self.task).options, self.shared_options | {"noise": noise})

    @classmethod
    def check_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Check the options against those of the task and of each machine."""
        shared = {key: value[key] for key in value if key not in cls.model_fields}
        owners = cls.owners(value)
        checked: dict[str, Any] = {}
        for key in shared if owners else ():
            if not any(key in owner for owner in owners):
                raise _not_owned(key, [*cls.model_fields, *(option for owner in owners for option in owner)])
            for owner in owners:
                checked |= options.checked(owner, {key: shared[key]}) if key in owner else {}
        return {key: value[key] for key in value if key not in shared} | checked

    @classmethod
    def owners(cls, value: Mapping[str, Any]) -> list[dict[str, Option]]:
        """Return the options of the task and of each machine; none if a name is wrong, which is reported elsewhere."""
        try:
            choices = [("machine", *_name_and_options(choice)) for choice in value.get("machines", DEFAULT_MACHINES)]
            choices.append(("task", value.get("task", "images"), {}))
            return [options.options_of(registry.define(kind, name), {**value, **own}) for kind, name, own in choices]
        except (UserError, TypeError, ValueError):
            return []

    @model_validator(mode="after")
    def _check_required(self) -> "KernelExperiment":
        for machine in self.machines:
            settings = self.shared_options | machine.options
            options.check_required(machine.name, options.options_of(machine.definition, settings), settings)
        keys = [*self.shared_options, "noise"]
        options.check_required(self.task, registry.define("task", self.task).options, keys)
        return self


def _name_and_options(choice: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(choice, Mapping):
        return choice, {}
    ((name, own),) = choice.items()
    return name, dict(own or {})


def _not_owned(key: str, allowed: Iterable[str]) -> Exception:
    registered = [*registry.definitions("task").values(), *registry.definitions("machine").values()]
    having = [definition.name for definition in registered if key in definition.options]
    if having:
        return at((key,), f"neither the task nor any of the machines has it; {have(having)}")
    return mistake(unknown_key(key, dict.fromkeys(allowed)))
