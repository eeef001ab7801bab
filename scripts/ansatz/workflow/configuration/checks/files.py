"""Names of files and folders."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ansatz import registry
from ansatz.data.conventions import PHOTOGRAPHS
from ansatz.declarations import LIBRARY, PACKAGES
from ansatz.files.hashing import checksum
from ansatz.workflow.configuration.mistakes import joined
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.sources import FeaturesSource, OwnWeights


def missing_plugins(plugins: Iterable[str], directory: Path) -> Iterator[str]:
    """Yield the plugins that are not there, or are no Python files."""
    for position, plugin in enumerate(plugins):
        if not (directory / plugin).is_file():
            yield f"plugins.{position}: {_absent(plugin, directory)}"
        elif not plugin.endswith(".py"):
            yield f"plugins.{position}: {plugin!r} is no Python file; its name has to end in .py"


def idle_plugins(plugins: Iterable[str], directory: Path) -> Iterator[str]:
    """Yield the plugins that register nothing, such as those whose decorators have another name."""
    registering = {definition.file for kind in PACKAGES for definition in registry.definitions(kind).values()}
    for position, plugin in enumerate(plugins):
        file = (directory / plugin).resolve()
        if LIBRARY not in file.parents and file not in registering:
            decorators = joined((f"@{kind}" for kind in PACKAGES), "or")
            yield f"plugins.{position}: {plugin!r} registers nothing; put {decorators} above a function or class in it"


def is_file(picture: str | int) -> bool:
    """Whether a picture is a user's file, neither an image of a dataset nor one that comes with scikit-learn."""
    return isinstance(picture, str) and picture not in PHOTOGRAPHS


def wrong_files(configuration: Configuration, directory: Path) -> Iterator[str]:
    """Yield what is wrong with names, files and folders."""
    if configuration.name.lower() == "published":
        yield "name: published holds the sources' numbers in results/; choose another name"
    pictures = [(f"pictures.{i}", picture) for i, picture in enumerate(configuration.pictures) if is_file(picture)]
    for key, path in [*_files(configuration), *pictures]:
        if path and not (directory / str(path)).exists():
            yield f"{key}: {_absent(str(path), directory)}"
    for key, file in _single_files(configuration):
        if (directory / file.path).is_dir():
            yield f"{key}.path: {file.path!r} is a folder; name a file in it"
    for key, picture in pictures:
        if (directory / str(picture)).is_dir():
            yield f"{key}: {picture!r} is a folder; name its images"
    if configuration.data_dir and not (directory / configuration.data_dir).is_dir():
        yield f"data_dir: {configuration.data_dir!r} is no folder"
    stems = [Path(str(picture)).stem for picture in configuration.pictures]
    for position, stem in enumerate(stems):
        if stem in stems[:position]:
            picture, other = configuration.pictures[position], configuration.pictures[stems.index(stem)]
            yield f"pictures.{position}: {picture!r} has the same name as {other!r}, after which figures are named"


def wrong_checksums(configuration: Configuration, directory: Path) -> Iterator[str]:
    """Yield the files that are not those that the configuration names by their SHA-256; reads them whole."""
    for key, file in _single_files(configuration):
        if file.sha256 and (actual := checksum(directory / file.path)) != file.sha256.lower():
            yield f"{key}.sha256: {file.sha256}, but that of {file.path} is {actual}"


def _files(configuration: Configuration) -> Iterator[tuple[str, str | None]]:
    yield "data_dir", configuration.data_dir
    yield from ((f"{key}.path", file.path) for key, file in _single_files(configuration))
    for name, options in configuration.datasets.items():
        yield f"datasets.{name}.folder", options.folder


def _single_files(configuration: Configuration) -> Iterator[tuple[str, OwnWeights | FeaturesSource]]:
    """Yield the sections that name a user's file of weights or feature matrices, with their keys."""
    for name, source in configuration.sources.items():
        if file := source.checkpoint or source.features:
            yield f"sources.{name}.{source.kind}", file
    pretrained = configuration.ansatz.pretrained if configuration.ansatz else None
    for name, checkpoint in pretrained.checkpoints.items() if pretrained else ():
        yield f"ansatz.pretrained.checkpoints.{name}", checkpoint


def _absent(path: str, directory: Path) -> str:
    return f"{path!r} is not there (looked for from {Path(directory).absolute()})"
