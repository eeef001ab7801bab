"""Where a configuration repeats the published study, so that its numbers may stand beside the published ones."""

from typing import Any

from ansatz.training.config import TrainingConfig
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.training import TrainingSection


def published_datasets(configuration: Configuration) -> list[str]:
    """Return the datasets that are compared at the published settings.

    These are our defaults of network and training, one split, source and learning rate for all, the protocol of the
    study's code, and all of a dataset's images.
    """
    study = configuration.initialization
    if study is None or study.network != NetworkConfig() or _settings(study.training) != _settings(TrainingSection()):
        return []
    if study.tuning or (study.protocol, study.split, study.source_seed) != ("released", "shared", "shared"):
        return []
    changed = [name for name, options in configuration.datasets.items() if options.limit or options.folder]
    return [name for name in study.datasets or () if name not in changed]


def _settings(training: TrainingSection) -> dict[str, Any]:
    """Return the settings that change the distribution of a training's results, with the defaults of its choices."""
    settings = training.model_dump(exclude={"metrics", "compile"})
    config = TrainingConfig(**settings)
    return settings | config.hyperparameters("optimizer") | config.hyperparameters("schedule")
