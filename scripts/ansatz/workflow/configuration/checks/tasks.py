"""The tasks of kernel machines."""

from collections.abc import Iterator

from ansatz import registry
from ansatz.workflow.configuration.mistakes import have, joined
from ansatz.workflow.configuration.model import Configuration


def wrong_tasks(configuration: Configuration) -> Iterator[str]:
    """Yield what is wrong with the tasks of kernel machines."""
    tasks, machines = registry.definitions("task"), registry.definitions("machine")
    baselines = {name for name in machines if machines[name].declared.get("baseline")}
    for name, experiment in configuration.kernels.items():
        key, task = f"kernels.{name}", experiment.task
        of_dataset = tasks[task].declared.get("of_dataset", True)
        if experiment.datasets and not of_dataset:
            yield f"{key}.datasets: {', '.join(experiment.datasets)}, but the task {task} makes its own images"
        if not experiment.datasets and of_dataset:
            yield f"{key}.datasets: missing; the task {task} takes the images of a dataset"
        if experiment.noise != [0] and "noise" not in tasks[task].options:
            noisy = [other for other in tasks if "noise" in tasks[other].options]
            yield f"{key}.noise: {experiment.noise}, but the task {task} has none; {have(noisy)}"
        if not baselines & {machine.label for machine in experiment.machines}:
            yield f"{key}.machines: {joined(baselines, 'or')} is missing, with which the others are compared"
