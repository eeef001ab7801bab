"""Names of datasets, their options, and whether batches and crops fit them."""

from collections.abc import Collection, Iterator, Mapping

from ansatz import registry
from ansatz.data.conventions import PASSWORD, VALIDATION_SHARE, holds_password
from ansatz.workflow.configuration.datasets import DatasetSize
from ansatz.workflow.configuration.mistakes import no_such, none_of
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.training import TrainingSection


def wrong_datasets(configuration: Configuration) -> Iterator[str]:
    """Yield what is wrong with datasets and their names."""
    registered = registry.definitions("dataset")
    resized = [name for name, definition in registered.items() if definition.declared.get("size")]
    for name, options in configuration.datasets.items():
        if name not in registered and not options.folder:
            yield f"datasets: {none_of(name, registered)}; images of your own need the key folder"
        if options.size and not options.folder and name not in resized:
            resizable = ", ".join(resized)
            yield f"datasets.{name}.size: only for images of your own, with the key folder, and for {resizable}"
        if name in registered or options.folder:
            files = () if options.folder else registered[name].declared.get("files", ())
            for key, value in (("url", options.url), ("sha256", options.sha256)):
                yield from _wrong_archives(f"datasets.{name}.{key}", value, files)
            addresses = options.url.values() if isinstance(options.url, Mapping) else [options.url or ""]
            if any(map(holds_password, addresses)):
                yield f"datasets.{name}.url: {PASSWORD}"
    available = list(dict.fromkeys([*registered, *configuration.datasets]))
    for key, name in _datasets(configuration):
        if name not in available:
            yield f"{key}: {no_such('dataset', name, available)}"


def _wrong_archives(key: str, value: str | Mapping[str, str] | None, files: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with values that are given for a dataset's archives."""
    if value and not files:
        yield f"{key}: the dataset has no archives; leave the key out"
    elif isinstance(value, str) and len(files) > 1:
        yield f"{key}: give one for each file: {', '.join(files)}"
    elif isinstance(value, Mapping):
        yield from (f"{key}: {none_of(file, files)}" for file in value if file not in files)


def _datasets(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield every dataset that is named, with the key."""
    for name, source in configuration.sources.items():
        if source.dataset:
            yield f"sources.{name}.{source.kind}.dataset", source.dataset
    if configuration.ansatz and configuration.ansatz.pretrained:
        yield "ansatz.pretrained.dataset", configuration.ansatz.pretrained.dataset
    for key, names in _lists_of_datasets(configuration):
        for position, name in enumerate(names):
            yield f"{key}.datasets.{position}", name


def _lists_of_datasets(configuration: Configuration) -> Iterator[tuple[str, list[str]]]:
    if configuration.initialization:
        yield "initialization", configuration.initialization.datasets or []
    for key, experiment in configuration.experiments():
        yield key, experiment.datasets


def wrong_batches(configuration: Configuration) -> Iterator[str]:
    """Yield the trainings whose batches are larger than their datasets, where the size of these is known."""
    for key, training, _, datasets in _trainings(configuration):
        for name in datasets:
            count = training_images(configuration, name)
            is_given = "batch_size" in training.model_fields_set
            if is_given and count is not None and training.batch_size > count:
                yield (
                    f"{key}.batch_size: {training.batch_size} is more than the {count} training images of {name}; "
                    f"it must be at most {count}"
                )


def wrong_crops(configuration: Configuration) -> Iterator[str]:
    """Yield the trainings whose images may be shifted out of sight."""
    for key, training, network, _ in _trainings(configuration):
        if (crop := training.augment.crop) >= (side := network.image_size):
            yield f"{key}.augment.crop: {crop}, but images have {side} px; it must be below {side}"


def training_images(configuration: Configuration, name: str) -> int | None:
    """Return how many images of a dataset are trained on, at most; None if that shows only when it is read.

    It is known of registered datasets that declare it, and of others that have a limit.
    """
    options = configuration.datasets.get(name)
    own_images = bool(options and options.folder)
    size = None if own_images else DatasetSize.of(registry.define("dataset", name))
    limit = options.limit if options else None
    if size is None:
        return limit
    count = min(size.train, limit) if limit else size.train
    return count if size.validation else count - round(count * VALIDATION_SHARE)


def _trainings(configuration: Configuration) -> Iterator[tuple[str, TrainingSection, NetworkConfig, list[str]]]:
    study = configuration.initialization
    for name, source in configuration.sources.items():
        if train := source.train:
            network = train.network or configuration.study_network
            yield f"sources.{name}.train.training", train.training, network, [train.dataset]
    if study:
        yield "initialization.training", study.training, study.network, configuration.study_datasets
    for key, experiment in configuration.experiments():
        if not key.startswith("kernels."):
            yield f"{key}.training", experiment.training, experiment.network, experiment.datasets
