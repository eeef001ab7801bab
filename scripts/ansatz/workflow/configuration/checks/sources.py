"""The sources that initializers draw from."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from ansatz.workflow.configuration.choices import EVERY, Choice
from ansatz.workflow.configuration.mistakes import joined, none_of
from ansatz.workflow.configuration.model import Configuration

MISSING = {
    "agop": "draws from AGOP, which is averaged over images, but sources.{source} has no dataset; give one",
    "centred_nfm": "subtracts the initial weights of its source, but those of {source} are unknown; use a source of "
    "the kind train",
}  # the feature matrix that an initializer needs -> why its source does not have it


def wrong_sources(configuration: Configuration) -> Iterator[str]:
    """Yield what is wrong with the sources that initializers draw from."""
    names = list(configuration.sources)
    for key, choice in _initializers(configuration):
        if not choice.needs:
            continue
        if not names:
            yield (
                f"sources: missing, but {choice.name} in {key} draws from feature matrices; add a source, such as "
                "mine: {train: {dataset: digits}}, {torchvision: ...}, {checkpoint: ...} or {features: ...}"
            )
        elif choice.source == EVERY:
            yield f"{key}: {choice.key!r} is one initializer for each source; name one of {', '.join(names)} after @"
        elif choice.source and choice.source not in names:
            yield f"{key}: {choice.key!r}: the source {none_of(choice.source, names)}"
        elif not choice.source and len(names) > 1:
            written = joined((choice.drawing_from(name).key for name in names), "or")
            yield f"{key}: {choice.key!r} may draw from several sources; write {written}"
        elif choice.needs not in configuration.sources[name := choice.source or names[0]].matrices:
            yield f"{key}: {choice.key!r} {MISSING[choice.needs].format(source=name)}"
    matched = configuration.initialization.layers if configuration.initialization else {}
    for name in (name for name in matched if name not in names):
        problem = f"the source {none_of(name, names)}" if names else "there are no sources"
        yield f"initialization.layers: {problem}"
    yield from _missing_runs(configuration)
    yield from _same_source(configuration)
    yield from _seen_validation(configuration)
    yield from _circles(configuration)


def _initializers(configuration: Configuration) -> Iterator[tuple[str, Choice]]:
    """Yield every initializer, with the key."""
    for name, source in configuration.sources.items():
        if source.initialized:
            yield f"sources.{name}.{source.kind}.initializer", source.initialized.initializer
    if configuration.initialization:
        for position, choice in enumerate(configuration.initialization.initializers):
            yield f"initialization.initializers.{position}", choice
    for key, experiment in configuration.experiments():
        if getattr(experiment, "initializer", None):
            yield f"{key}.initializer", experiment.initializer


def _same_source(configuration: Configuration) -> Iterator[str]:
    choices = configuration.initialization.initializers if configuration.initialization else []
    if len(configuration.sources) == 1:
        labels = [choice.drawing_from(None).label for choice in choices]
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
    if study and study.split == "run":
        direct = [configuration.source_of(choice) for choice in study.initializers]
        for name in dict.fromkeys(chain.from_iterable(configuration.lineage(name) for name in direct if name)):
            source = configuration.sources[name]
            if source.dataset not in configuration.study_datasets:
                continue
            reads = f"reads images of {source.dataset} that runs validate on, as split is run"
            if source.run:
                yield f"sources.{name}.run: {reads}; set initialization.split to shared"
            elif study.source_seed == "shared":
                yield (
                    f"initialization.source_seed: shared, but the source {name} {reads}; set both to run, or both to "
                    "shared"
                )


def _missing_runs(configuration: Configuration) -> Iterator[str]:
    """Yield sources that are to be runs which the study does not have, or whose weights it does not keep."""
    study = configuration.initialization
    for name, source in configuration.sources.items():
        if not source.run:
            continue
        if study is None:
            yield f"sources.{name}.run: there is no section initialization, of which it could be a run"
            continue
        labels = [choice.label for choice in study.initializers]
        available: dict[str, list[Any]] = {
            "dataset": configuration.study_datasets,
            "initializer": labels,
            "seed": study.seeds,
        }
        for key, values in available.items():
            if (value := getattr(source.run, key)) not in values:
                yield f"sources.{name}.run.{key}: {none_of(value, values)}"
        if study.keep_weights == "none":
            yield f"sources.{name}.run: the study keeps no weights; set initialization.keep_weights to best or last"


def _circles(configuration: Configuration) -> Iterator[str]:
    for name in configuration.sources:
        path = configuration.lineage(name)
        if configuration.origin_of(path[-1]) == name:
            circle = " -> ".join([*path, name])
            yield f"sources: circle: {circle}; one of them has to start without features of the others"
