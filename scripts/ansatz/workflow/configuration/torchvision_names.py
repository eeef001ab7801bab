"""Names of torchvision's networks and weights, read from its source: importing it takes seconds, and imports torch."""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

CLASS = re.compile(r"^class (\w+_Weights)\(WeightsEnum\)", re.MULTILINE)
NETWORK = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


@cache
def network_names() -> list[str]:
    """Return the names of torchvision's classification networks; none where it is not installed."""
    return [name for file in _files() if file.parent.name == "models" for name in NETWORK.findall(_text(file))]


@cache
def weights_classes() -> dict[str, Path]:
    """Return every class of weights, with the file that defines it; none where torchvision is not installed."""
    return {name: file for file in _files() for name in CLASS.findall(_text(file))}


@cache
def members(file: Path, owner: str) -> list[str]:
    """Return the names that a class of weights, in a file, gives to its weights."""
    return [
        target.id
        for node in ast.parse(_text(file)).body
        if isinstance(node, ast.ClassDef) and node.name == owner
        for member in node.body
        if isinstance(member, ast.Assign)
        for target in member.targets
        if isinstance(target, ast.Name)
    ]


def _files() -> list[Path]:
    spec = find_spec("torchvision")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return [file for folder in folders for file in sorted(Path(folder, "models").rglob("*.py"))]


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
