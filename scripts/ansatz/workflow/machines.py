"""What rules ask about the machines of all experiments with kernels."""

from itertools import chain, product
from typing import Any

from ansatz.workflow.cases import Options
from ansatz.workflow.configuration.choices import Choice, level
from ansatz.workflow.configuration.kernels import KernelExperiment
from ansatz.workflow.plan import Plan


class MachineInputs:
    """The machines, what those of a task have learned, and what is drawn of it.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self.results, self.experiments = plan.results, plan.configuration.kernels

    @property
    def declared(self) -> dict[str, Options]:
        """What tables and figures need to know of each machine, by its label."""
        choices = chain.from_iterable(experiment.machines for experiment in self.experiments.values())
        return {choice.label: dict(choice.definition.declared) for choice in choices}

    def learners(self, wildcards: Any) -> dict[str, Options]:
        """Return those that learn features of a task, from the wildcard ``task``."""
        experiment = self.experiments[wildcards.task.split("/")[1]]
        return {machine.label: self.declared[machine.label] for machine in _learners(experiment)}

    def learned(self, wildcards: Any) -> list[str]:
        """Return the files of what they have learned, from one seed."""
        folder, seed = f"{self.results}/{wildcards.task}", wildcards.seed
        return [f"{folder}/{label}/seed{seed}/learned.h5" for label in self.learners(wildcards)]

    def pictured(self, pattern: list[str]) -> list[str]:
        """Return the pattern, filled with every task of machines that learn features, and the first of its seeds."""
        return [
            file.format(task=f"kernels/{name}/{dataset}/noise{level(noise)}", seed=experiment.seeds[0])
            for name, experiment in self.experiments.items()
            if _learners(experiment)
            for dataset, noise in product(experiment.datasets or [experiment.task], experiment.noise)
            for file in pattern
        ]


def _learners(experiment: KernelExperiment) -> list[Choice]:
    return [machine for machine in experiment.machines if machine.definition.declared.get("learns_features")]
