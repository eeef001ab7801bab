"""Where a configuration repeats the published study, so that its numbers may stand beside the published ones."""

from typing import Any

from ansatz.training.config import TrainingConfig
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.training import TrainingSection


def published_datasets(configuration: Configuration) -> list[str]:
    """Return the datasets that are compared at the published settings.

    These are our defaults of network and training, the scaling of covariances in the study's code if an initializer
    uses it, and all of a dataset's images.
    """
    study = configuration.initialization
    if study is None or study.network != NetworkConfig() or _settings(study.training) != _settings(TrainingSection()):
        return []
    if any(choice.needs for choice in study.initializers) and study.covariance_scaling != "released":
        return []
    changed = [name for name, options in configuration.datasets.items() if options.limit or options.folder]
    return [name for name in study.datasets or () if name not in changed]


def _settings(training: TrainingSection) -> dict[str, Any]:
    """Return what changes a training's results other than in distribution, with the optimizer's defaults."""
    settings = training.model_dump(exclude={"metrics", "compile"})
    return settings | TrainingConfig(**settings).hyperparameters
