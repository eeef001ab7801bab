"""The names of figures, as the workflow reads them from the source."""

from importlib import import_module

import pytest

import interpreter
from ansatz.reporting.figures.catalogue import figures_of, names

MODULES = ["curves", "comparison", "transfer", "alignment", "evolution", "machines", "sources"]


@pytest.mark.parametrize("module", MODULES)
def test_names_are_those_of_the_registered_functions(module):
    imported = import_module(f"ansatz.reporting.figures.{module}")
    assert names(module) == list(figures_of(imported.__name__))
    assert all(getattr(imported, name) is draw for name, draw in figures_of(imported.__name__).items())


def test_names_are_read_without_importing_matplotlib():
    code = """
        import sys
        from ansatz.reporting.figures.catalogue import names
        print(*names("curves"), "matplotlib" in sys.modules)
    """
    assert interpreter.run(code).split() == ["accuracy", "gap", "False"]
