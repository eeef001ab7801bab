"""What `import ansatz` offers, and what the package holds."""

import ast
import importlib
import inspect
import pydoc
import re
import tomllib

import pytest

import ansatz
from real_data import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TEXT_FILE = r"^open$|path\.open$|\.(read|write)_text$|FileHandler$"  # the functions that open one


@pytest.mark.parametrize("name", ansatz.__all__)
def test_every_name_is_that_of_its_module(name):
    value = getattr(ansatz, name)
    assert value is getattr(importlib.import_module(value.__module__), name)
    assert inspect.getdoc(value)
    assert name in dir(ansatz)


def test_type_checkers_see_every_name():
    imports = (ROOT / "scripts/ansatz/__init__.py").read_text().partition("if TYPE_CHECKING:")[2].partition("\n\n")[0]
    lines = {line.strip() for line in imports.strip().splitlines()}
    assert lines == {f"from {module} import {name} as {name}" for name, module in ansatz._MODULES.items()}
    assert (ROOT / "scripts/ansatz/py.typed").exists()


def test_the_package_has_all_its_files():
    package = ROOT / "scripts/ansatz"
    packed = {
        path for pattern in PYPROJECT["tool"]["setuptools"]["package-data"]["ansatz"] for path in package.glob(pattern)
    }
    others = {path for path in package.rglob("*.*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert package / "py.typed" in others
    assert packed == others


def test_names_that_do_not_exist_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'ansatz' has no attribute 'aggop'"):
        _ = ansatz.aggop


def test_text_files_are_in_utf_8_in_every_locale():
    for path in (ROOT / "scripts").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and re.search(TEXT_FILE, ast.unparse(call.func)):
                assert re.search(r"encoding=|'[rw]b'", ast.unparse(call)), f"{path}: {ast.unparse(call)}"


def test_help_names_everything():
    described = pydoc.plaintext.document(ansatz)
    for name in ansatz.__all__:
        assert f" {name}(" in described or f" class {name}" in described, name


def test_the_lock_file_covers_every_dependency():
    groups = [PYPROJECT["project"]["dependencies"], *PYPROJECT["project"]["optional-dependencies"].values()]
    names = {line.split(">")[0].split("[")[0].lower() for group in groups for line in group}
    locked = (ROOT / "requirements.lock").read_text().lower()
    assert not [name for name in names - {"ansatz"} if f"\n{name}==" not in f"\n{locked}"]
