"""What rules declare, held against the code: scripts, library files, layers of imports, environments."""

import ast
import inspect
import re
import sys
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from snakemake.scheduling.job_scheduler import JobScheduler

import interpreter
from ansatz.declarations import LIBRARY, PACKAGES
from ansatz.registry import definitions
from ansatz.workflow.closure import SCRIPTS, reached
from real_data import ROOT

SCRIPT_NAMES = sorted(path.name for path in SCRIPTS.glob("*.py"))
PYTHON = {"python_version": "3.12", "python_full_version": "3.12.0"}  # of the environments
SMK = sorted((ROOT / "workflow").rglob("*.smk"))
# From the bottom up: a package imports of those before it, and of its own line.
LAYERS = (
    ("errors", "declarations", "registry", "seeds", "provenance", "interruption", "gpus", "memory", "devices", "job"),
    ("files",),
    ("data", "networks"),
    ("features", "initializers"),
    ("training", "machines"),
    ("reporting", "workflow", "export"),
)


def rules():
    """Map every rule that runs a script to its text and its script."""
    found = {}
    for file in SMK:
        for rule in re.split(r"\n(?:rule|checkpoint) ", file.read_text())[1:]:
            if script := re.search(r'"../../scripts/(.*)"', rule):
                found[rule.partition(":")[0]] = rule, script.group(1)
    return found


def test_every_rule_names_the_library_of_its_own_script():
    for rule, (text, script) in rules().items():
        assert re.findall(r'library\("(.*)"\)', text) == [script], rule
    assert sorted({script for _, script in rules().values()}) == SCRIPT_NAMES


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_scripts_are_short_and_know_no_config(script):
    text = (SCRIPTS / script).read_text()
    assert len(text.splitlines()) <= 40
    assert "snakemake.config" not in text


def test_published_pictures_have_their_tables_beside_them():
    ours = ROOT / "results" / "published" / "ours"
    listed = (ROOT / "workflow/rules/pictures.smk").read_text()
    pictures = re.findall(r'"(\w+/\w+)": \[', listed)
    assert pictures
    assert [name for name in pictures if not (ours / f"{name}.png").is_file()] == []
    assert [name for name in re.findall(r'"(\w+/\w+\.csv)"', listed) if not (ours / name).is_file()] == []


@pytest.mark.parametrize("file", SMK, ids=lambda path: path.name)
def test_snakefiles_hold_rules(file):
    """At most 20 lines of Python: what stands at the margin, but for rules, their like and comments."""
    directive = re.compile(r"(rule|use rule|checkpoint|wildcard_constraints|localrules|include|report)\b.*:?$")
    text = re.sub(r'""".*?"""', "", file.read_text(), flags=re.DOTALL)
    margin = [line for line in text.splitlines() if line and not line.startswith((" ", "#", ")"))]
    assert len([line for line in margin if not directive.match(line)]) <= 20


@pytest.mark.parametrize("file", sorted(LIBRARY.rglob("*.py")), ids=lambda path: str(path.relative_to(LIBRARY)))
def test_files_are_short_and_import_what_is_below_them(file):
    assert len(file.read_text().splitlines()) <= 420
    level = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
    room = file.relative_to(LIBRARY).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for imported in reached_rooms(file):
        assert level[imported] <= level[room], f"{room} imports {imported}"


def reached_rooms(file):
    """Return the rooms of the library that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ansatz"):
            inside = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            yield from (room for room in inside if not room.startswith("__"))


def test_there_is_no_circle_of_imports():
    """No file reaches itself."""
    for file in LIBRARY.rglob("*.py"):
        imported = {path for path in reached([file]) if path != file}
        below = {path for path in imported if file in reached([path])}
        assert not {path for path in below if path.name != "__init__.py"}, file


@pytest.mark.parametrize("room", ["ansatz.workflow.inputs", "ansatz.reporting.figures.catalogue"])
def test_the_host_of_snakemake_needs_neither_torch_nor_pandas(room):
    code = f"import sys, {room}; sys.exit(bool({{'torch', 'pandas', 'numpy', 'matplotlib'}} & set(sys.modules)))"
    interpreter.run(code)


def test_tables_and_figures_import_no_torch():
    rooms = ", ".join(f"ansatz.reporting.{path.stem}" for path in (LIBRARY / "reporting").glob("[a-z]*.py"))
    figures = ", ".join(
        f"ansatz.reporting.figures.{path.stem}" for path in (LIBRARY / "reporting/figures").glob("[a-z]*.py")
    )
    code = f"import sys, {rooms}, {figures}, ansatz.reporting.page.render; sys.exit('torch' in sys.modules)"
    interpreter.run(code)


def test_the_schema_stands_at_the_top_of_each_configuration():
    for path in (ROOT / "config").glob("*.yaml"):
        assert path.read_text().startswith("# yaml-language-server: $schema="), path.name


@pytest.mark.parametrize("name", ["torch", "tables"])
def test_conda_environments_have_the_locks_versions(name):
    """The lines of requirements.lock that hold for the environment's Python, package by package."""
    locked = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if match := re.match(r"([a-z0-9-]+)==(\S+)(?: ; python_full_version (<|>=) '3.12')?", line):
            package, version, bound = match.groups()
            locked[package] = locked.get(package) if bound == "<" else version
    environment = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())
    assert environment["dependencies"][0] == "python=3.12"
    pins = dict(pin.partition(";")[0].split("==") for pin in environment["dependencies"][-1]["pip"])
    assert pins == {package: locked[package] for package in pins}


@pytest.mark.skipif(sys.platform != "linux", reason="packages need others elsewhere")
@pytest.mark.parametrize("name", ["torch", "tables"])
def test_conda_environments_pin_what_their_packages_need(name):
    environment = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())
    pins = [Requirement(pin) for pin in environment["dependencies"][-1]["pip"]]
    assert needed(pins) == {pin.name for pin in pins}


def needed(requirements):
    """Return the names of packages, and of all that they need, as they are installed here."""
    extras, waiting = {}, list(requirements)
    for requirement in waiting:  # which grows meanwhile
        name = canonicalize_name(requirement.name)
        new = {"", *requirement.extras} - extras.setdefault(name, set())
        extras[name] |= new
        for other in map(Requirement, metadata.requires(name) or []) if new else ():
            if other.marker is None or any(other.marker.evaluate(PYTHON | {"extra": extra}) for extra in new):
                waiting.append(other)
    return set(extras)


def test_snakemake_has_the_limiter_that_is_switched_off():
    """Another name for it would let Snakemake look for jobs once a second for every job that has ended."""
    assert "self.job_rate_limiter is not None" in inspect.getsource(JobScheduler.schedule)
    assert "workflow.scheduler.job_rate_limiter = None" in (ROOT / "workflow/Snakefile").read_text()


def test_conda_environments_hold_what_their_scripts_import():
    """Third-party modules that the library files of each rule import, and those it finds by name, wherever in them."""
    found_by_rules = PACKAGES.keys() - {"exporter"}
    packages = {"sklearn": "scikit-learn", "PIL": "pillow", "annotated_types": "annotated-types"}
    packages |= {"vl_convert": "vl-convert-python", "yaml": "pyyaml"}
    for text, script in rules().values():
        environment = re.search(r"conda:\n\s+(\w+)", text).group(1).lower()
        held = (ROOT / "envs" / f"{environment}.yaml").read_text()
        defining = (
            {one.file for kind in found_by_rules for one in definitions(kind).values()}
            if environment == "torch"
            else ()
        )
        for file in reached([SCRIPTS / script, *defining]):
            for module in third_party(file):
                package = packages.get(module, module)
                assert f"- {package}==" in held, f"{file} imports {module}; envs/{environment}.yaml lacks {package}"


def third_party(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in names:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in ("ansatz", "timm"):  # which users add themselves
                yield top
