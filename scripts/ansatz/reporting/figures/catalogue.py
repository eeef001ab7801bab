"""The names of figures: `figure` registers the function that draws one; `names` reads the names from the source alone.

The workflow needs the names, and may run where there is no Matplotlib.
"""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Draw = TypeVar("Draw", bound=Callable[..., Any])
_REGISTERED: dict[str, dict[str, Callable[..., Any]]] = {}  # module -> name -> function


def figure(draw: Draw) -> Draw:
    """Register a function that draws a figure, which is called like the function."""
    _REGISTERED.setdefault(draw.__module__, {})[draw.__name__] = draw
    return draw


def figures_of(module: str) -> dict[str, Callable[..., Any]]:
    """Return the figures of an imported module, by its ``__name__``: name -> the function that draws it."""
    return _REGISTERED[module]


def names(module: str) -> list[str]:
    """Return the names of the figures of a module of this package, such as ``"evolution"``, without importing it."""
    source = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        if any(isinstance(decorator, ast.Name) and decorator.id == "figure" for decorator in node.decorator_list)
    ]
