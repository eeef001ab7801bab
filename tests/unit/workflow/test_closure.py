"""Which files a script reaches: held against what Python really imports, and what an edit of each reruns."""

import json
from pathlib import Path

import pytest

import forkserver
from ansatz import registry
from ansatz.workflow.closure import SCRIPTS, definitions, library, reached
from real_data import ROOT

SCRIPT_NAMES = sorted(path.name for path in SCRIPTS.glob("*.py"))


def imported_by(script):
    """Import all that a script imports, and return the library's files with code that were loaded."""
    code = f"""
import ast, json, sys
tree = ast.parse(open({script!r}).read())
for node in tree.body:
    if isinstance(node, ast.Import | ast.ImportFrom):
        exec(ast.unparse(node))
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'ansatz' and m.__file__]))
"""
    done = forkserver.run(["-c", code], SCRIPTS)
    assert done.returncode == 0, done.stdout
    loaded = {Path(file) for file in json.loads(done.stdout)} | {SCRIPTS / script}
    return {file for file in loaded if file.name != "__init__.py" or "import" in file.read_text()}


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_a_scripts_library_is_at_least_what_it_imports(script):
    """Imports inside functions belong to it as well."""
    assert imported_by(script) <= reached([SCRIPTS / script])


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_no_script_reaches_a_file_that_only_defines_registered_names(script):
    """Such a file is an input of the rules whose wildcards name it, so that an edit of it reruns no other."""
    defining = {
        definition.file
        for kind in ("initializer", "network", "dataset", "task")
        for definition in registry.definitions(kind).values()
    }
    assert not reached([SCRIPTS / script]) & defining


@pytest.mark.parametrize("kind", list(registry.PACKAGES))
def test_every_name_has_its_file_among_its_definitions(kind, monkeypatch):
    monkeypatch.chdir(ROOT)
    for name, definition in registry.definitions(kind).items():
        assert str(definition.file.relative_to(ROOT)) in definitions("gather_runs.py", [(kind, name)])


def test_names_that_are_not_registered_have_no_file():
    assert definitions("train.py", [("network", "resnet152")]) == []


def test_paths_are_relative_to_where_snakemake_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert "scripts/train.py" in library("train.py")
    monkeypatch.chdir(tmp_path)
    assert all(Path(file).is_file() for file in library("train.py"))


def test_a_plugin_reaches_the_modules_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_PLUGINS", [])
    (tmp_path / "helper_of_mine.py").write_text("SCALE = 2.0\n")
    plugin = tmp_path / "my_initializers.py"
    plugin.write_text(
        "from ansatz.registry import initializer\n"
        "from helper_of_mine import SCALE\n\n\n"
        "@initializer\n"
        "def halves(weight, generator):\n"
        '    """Half of everything."""\n'
        "    weight.fill_(0.5 * SCALE)\n"
    )
    registry.use([plugin])
    monkeypatch.chdir(tmp_path)
    assert {"my_initializers.py", "helper_of_mine.py"} <= set(definitions("train.py", [("initializer", "halves")]))


def test_imports_for_type_checkers_reach_nothing():
    """`ansatz` names all that it offers for type checkers, and imports it only when it is used."""
    assert reached([SCRIPTS / "ansatz/__init__.py"]) == {SCRIPTS / "ansatz/__init__.py"}
