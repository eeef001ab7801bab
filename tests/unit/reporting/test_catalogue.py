"""The names of figures, as the workflow reads them from the source."""

import subprocess
import sys
from importlib import import_module
from textwrap import dedent

import pytest

from ansatz.reporting.figures.catalogue import figures_of, names
from real_data import ROOT

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
    command = [sys.executable, "-c", dedent(code)]
    ended = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["accuracy", "gap", "False"]
