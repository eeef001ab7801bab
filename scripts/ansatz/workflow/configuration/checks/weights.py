"""Names of torchvision's weights, read from its source: importing it takes seconds, and imports torch."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ansatz.errors import near
from ansatz.workflow.configuration.model import Configuration

CLASS = re.compile(r"^class (\w+_Weights)\(WeightsEnum\)", re.MULTILINE)


def wrong_weights(configuration: Configuration) -> Iterator[str]:
    """Yield the names of weights that torchvision does not have."""
    for name, source in configuration.sources.items():
        if source.torchvision:
            for text in _wrong(source.torchvision.weights):
                yield f"sources.{name}.torchvision.weights: {text}"
    pretrained = configuration.ansatz and configuration.ansatz.pretrained
    for position, weights in enumerate(pretrained.weights if pretrained else ()):
        for text in _wrong(weights):
            yield f"ansatz.pretrained.weights.{position}: {text}"


def _wrong(name: str) -> Iterator[str]:
    files = _files()
    owner, _, member = name.partition(".")
    if files and owner not in files:
        yield " ".join(filter(None, [f"{name!r} is not among torchvision's weights;", _near(name, files)])).rstrip(";")
    elif files and member not in (members := _members(files[owner], owner)):
        allowed = ", ".join(f"{owner}.{other}" for other in members)
        yield f"{name!r} is not among torchvision's weights; it has {allowed}"


def _near(name: str, files: dict[str, Path]) -> str:
    owner = name.partition(".")[0]
    owners = [other for other in files if near(owner, [other])]
    return near(name, [f"{other}.{member}" for other in owners for member in _members(files[other], other)])


@cache
def _files() -> dict[str, Path]:
    """Return every class of weights, with the file that defines it."""
    spec = find_spec("torchvision")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return {
        name: file
        for folder in folders
        for file in sorted(Path(folder, "models").rglob("*.py"))
        for name in CLASS.findall(file.read_text(encoding="utf-8"))
    }


@cache
def _members(file: Path, owner: str) -> list[str]:
    """Return the names that a class of weights gives to its weights."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        target.id
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == owner
        for member in node.body
        if isinstance(member, ast.Assign)
        for target in member.targets
        if isinstance(target, ast.Name)
    ]
