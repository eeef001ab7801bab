"""Which files a script reaches. Rules name them as inputs, so that editing one reruns what depends on it.

Snakemake compares inputs by content: a touch or a fresh checkout reruns nothing. A script reaches the files that it
imports, anywhere in it, and the files that these import. What it looks up in the registry by name is not among them:
the rule adds the file that defines that name, with `definitions`, so that a new initializer reruns no other run.
"""

import ast
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ansatz import registry
from ansatz.declarations import LIBRARY

SCRIPTS = LIBRARY.parent
BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")  # in which statements hold others


def library(script: str) -> list[str]:
    """Return a script and the files of the library that it always reaches, relative to the working directory."""
    return _relative(reached([SCRIPTS / script]))


def definitions(script: str, names: Iterable[tuple[str, str]]) -> list[str]:
    """Return the files that define names, each a (kind, name), and all that these reach and the script does not.

    A name that is not registered, such as that of a network of torchvision, has no file.
    """
    defining = [registry.definitions(kind)[name].file for kind, name in names if name in registry.definitions(kind)]
    return _relative(reached(defining) - reached([SCRIPTS / script]))


def reached(files: Iterable[Path]) -> frozenset[Path]:
    """Return files and all files of ours that they import, directly or not."""
    return _reached(frozenset(files))


@cache  # most cases of a plan reach the same files
def _reached(files: frozenset[Path]) -> frozenset[Path]:
    seen: set[Path] = set()
    queue = list(files)
    while queue:
        path = queue.pop()
        if path not in seen:
            seen.add(path)
            queue += _imported(path)
    return frozenset(seen)


@cache
def _imported(path: Path) -> list[Path]:
    """Return the files that a file imports from the library, and a user's file from its own folder as well."""
    roots = [SCRIPTS] if SCRIPTS in path.parents else [SCRIPTS, path.parent]
    return [file for module in _modules(path) for root in roots for file in _files(root, module)]


def _modules(path: Path) -> Iterator[str]:
    """Yield all modules that a file may import; ``from a import b`` may mean a or a.b."""
    for node in _statements(_parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements of a tree, at any depth, except for those that only type checkers read."""
    nodes = [tree]
    for node in nodes:  # which grows
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        for block in BLOCKS:
            nodes += getattr(node, block, ())


@cache
def _files(root: Path, module: str) -> list[Path]:
    """Return the files that importing a module runs: its own and those of its packages, except for empty packages."""
    parts = module.split(".")
    places = [root.joinpath(*parts[:length]) for length in range(1, len(parts) + 1)]
    files = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()]
    return [file for file in files if file.name != "__init__.py" or not _is_empty(file)]


@cache
def _is_empty(package: Path) -> bool:
    return len(_parsed(package).body) <= 1


def _parsed(path: Path) -> ast.Module:
    """Return a file's tree. None is kept, as the garbage collector would go through all of them again and again."""
    return ast.parse(path.read_text(encoding="utf-8"))


def _relative(paths: Iterable[Path]) -> list[str]:
    return sorted(os.path.relpath(path) for path in paths)
