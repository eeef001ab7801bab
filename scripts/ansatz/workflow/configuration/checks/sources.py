"""The sources that initializers draw from."""

from collections.abc import Iterator
from itertools import chain

from ansatz.workflow.configuration.choices import Choice
from ansatz.workflow.configuration.mistakes import joined, none_of
from ansatz.workflow.configuration.model import Configuration


def wrong_sources(configuration: Configuration) -> Iterator[str]:
    """Yield what is wrong with the sources that initializers draw from."""
    names = list(configuration.sources)
    for key, choice in _initializers(configuration):
        if not choice.needs:
            continue
        if not names:
            yield (
                f"sources: missing, but {choice.name} in {key} draws from feature matrices; add a source, such as "
                "mine: {train: {dataset: digits}}, {torchvision: ...} or {checkpoint: ...}"
            )
        elif choice.source and choice.source not in names:
            yield f"{key}: {choice.key!r}: the source {none_of(choice.source, names)}"
        elif not choice.source and len(names) > 1:
            written = joined((choice.model_copy(update={"source": name}).key for name in names), "or")
            yield f"{key}: {choice.key!r} may draw from several sources; write {written}"
        elif choice.needs == "agop" and not configuration.sources[name := choice.source or names[0]].dataset:
            yield (
                f"{key}: {choice.key!r} draws from AGOP, which is averaged over images, but sources.{name} has no "
                "dataset; give one"
            )
        elif choice.needs == "centred_nfm" and not configuration.sources[name := choice.source or names[0]].train:
            yield (
                f"{key}: {choice.key!r} subtracts the initial weights of its source, but those of {name} are unknown; "
                "use a source of the kind train"
            )
    yield from _same_source(configuration)
    yield from _seen_validation(configuration)
    yield from _circles(configuration)


def _initializers(configuration: Configuration) -> Iterator[tuple[str, Choice]]:
    """Yield every initializer, with the key."""
    for name, source in configuration.sources.items():
        if source.train:
            yield f"sources.{name}.train.initializer", source.train.initializer
    if configuration.initialization:
        for position, choice in enumerate(configuration.initialization.initializers):
            yield f"initialization.initializers.{position}", choice
    for key, experiment in configuration.experiments():
        if getattr(experiment, "initializer", None):
            yield f"{key}.initializer", experiment.initializer


def _same_source(configuration: Configuration) -> Iterator[str]:
    choices = configuration.initialization.initializers if configuration.initialization else []
    if len(configuration.sources) == 1:
        labels = [choice.model_copy(update={"source": None}).label for choice in choices]
        for position, label in enumerate(labels):
            if label in labels[:position]:
                first = choices[labels.index(label)]
                yield (
                    f"initialization.initializers.{position}: {choices[position].label} is the same as {first.label}, "
                    "as there is one source"
                )


def _seen_validation(configuration: Configuration) -> Iterator[str]:
    """Yield a source that reads images which runs of the study validate on."""
    study = configuration.initialization
    if study and (study.split, study.source_seed) == ("run", "shared"):
        direct = [configuration.source_of(choice) for choice in study.initializers]
        for name in dict.fromkeys(chain.from_iterable(_chain(configuration, name) for name in direct if name)):
            dataset = configuration.sources[name].dataset
            if dataset in (study.datasets or configuration.datasets):
                yield (
                    f"initialization.source_seed: shared, but the source {name} reads images of {dataset} that runs "
                    "validate on, as split is run; set both to run, or both to shared"
                )


def _circles(configuration: Configuration) -> Iterator[str]:
    for name in configuration.sources:
        path = _chain(configuration, name)
        if _origin(configuration, path[-1]) == name:
            circle = " -> ".join([*path, name])
            yield f"sources: circle: {circle}; one of them has to start without features of the others"


def _chain(configuration: Configuration, name: str | None) -> list[str]:
    """Return a source, that which it starts from, and so on, each once."""
    names: list[str] = []
    while name in configuration.sources and name not in names:
        names.append(name)
        name = _origin(configuration, name)
    return names


def _origin(configuration: Configuration, name: str) -> str | None:
    """Return the source that a source starts from, if there is one."""
    train = configuration.sources[name].train
    return configuration.source_of(train.initializer) if train else None
