"""What rules declare, held against the code: library files, names, versions, documentation."""

import ast
import inspect
import json
import re
import subprocess
import sys

import pytest
import yaml

from ansatz import initializers
from ansatz.datasets import DATASETS
from ansatz.devices import PRECISIONS
from ansatz.feature_figures import STAGES
from ansatz.figures import CURVES
from ansatz.machine_figures import MACHINE_LOOKS, SCORE_FIGURES
from ansatz.machines import CNN_PROTOCOL, MACHINES
from ansatz.networks import NETWORKS, POOLINGS, build, conv_layers
from ansatz.optimizers import OPTIMIZERS
from ansatz.rfm import CHOICES, NONLINEARITIES, ConvRFM, DeepConvRFM
from ansatz.tasks import TASKS
from declared import SCRIPTS, named_library, reached, rules
from real_data import ROOT

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
SCRIPT_NAMES = sorted(path.name for path in SCRIPTS.glob("*.py"))


def test_every_rule_names_the_library_of_its_own_script():
    for rule, (text, script) in rules().items():
        assert re.findall(r'library\("(.*)"\)', text) == [script], rule
    assert sorted({script for _, script in rules().values()}) == SCRIPT_NAMES


def test_the_library_of_a_script_is_every_file_that_it_reaches(finished_once):
    named = named_library(finished_once)
    assert named == {rule: reached(rules()[rule][1]) for rule in named}
    of_the_study = {"fetch_dataset", "prepare_dataset", "pretrain", "extract_features", "train"}
    assert set(named) == of_the_study | {"gather_runs", "tabulate_runs", "draw_curves"}


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_scripts_are_short_and_know_no_config(script):
    text = (SCRIPTS / script).read_text()
    assert len(text.splitlines()) <= 35
    assert "snakemake.config" not in text


def test_imports_run_one_way():
    """A module of the library imports none above it."""
    order = ["job", "machines", "evolution", "training", "rfm", "regression", "kernels", "machine_figures"]
    order += ["feature_figures", "figures", "statistics", "pictures", "initializers", "tasks", "feature_matrices"]
    order += ["networks", "optimizers", "batches", "devices", "datasets", "archives", "store"]
    order += ["provenance", "seeds", "errors"]
    modules = {path.stem: path for path in (SCRIPTS / "ansatz").glob("*.py") if path.stem != "__init__"}
    assert sorted(modules) == sorted(order)
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("ansatz"):
                inside = [node.module.partition(".")[2]] if "." in node.module else [a.name for a in node.names]
                for imported in set(inside) & set(order):
                    assert order.index(imported) > order.index(name), f"{name} imports {imported}"


def test_tables_and_figures_import_no_torch():
    code = "import sys, ansatz.figures, ansatz.statistics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=False).returncode == 0


def test_enums_are_the_codes_registries():
    defs = SCHEMA["$defs"]
    registry = initializers.INITIALIZERS
    assert SCHEMA["properties"]["initializers"]["items"]["enum"] == list(registry)
    assert defs["feature_initializer"]["enum"] == [name for name, one in registry.items() if one.needs]
    plain = [name for name, one in registry.items() if not one.needs]
    assert defs["plain_initializer"]["enum"] == plain
    assert SCHEMA["properties"]["initializers"]["default"] == plain
    assert defs["training"]["properties"]["optimizer"]["enum"] == list(OPTIMIZERS)
    assert defs["network_section"]["properties"]["pooling"]["enum"] == list(POOLINGS)
    options = {name: inspect.signature(one).parameters.values() for name, one in NETWORKS.items()}
    own = {name: [one.name for one in of if one.kind is one.KEYWORD_ONLY] for name, of in options.items()}
    assert defs["own_options"]["const"] == {"cnn": own["cnn"]}
    assert defs["dataset"]["enum"] == list(DATASETS)
    assert defs["resized_dataset"]["enum"] == [name for name, one in DATASETS.items() if one.size]
    assert defs["network"]["enum"] == list(NETWORKS)
    assert defs["training"]["properties"]["precision"]["enum"] == list(PRECISIONS)
    assert SCHEMA["properties"]["feature_matrices"]["properties"]["precision"]["enum"] == list(PRECISIONS)
    layers = {name: list(conv_layers(build(name, 2, seed=0, width=0.01))) for name in NETWORKS}
    assert defs["layers"]["const"] == layers
    assert SCHEMA["properties"]["covariance_scaling"]["enum"] == list(initializers.COVARIANCE_SCALINGS)


def test_machines_and_their_options_are_the_codes():
    section = SCHEMA["properties"]["kernels"]["additionalProperties"]["properties"]
    assert section["task"]["enum"] == list(TASKS) == list(SCHEMA["$defs"]["task_options"]["const"])
    for name, make in TASKS.items():
        taken = {*SCHEMA["$defs"]["task_options"]["const"][name], "train", "test", "seed"}
        assert taken - {"datasets"} == set(inspect.signature(make).parameters) - {"data"}, name
    assert section["machines"]["items"]["enum"] == list(MACHINES)
    assert list(MACHINE_LOOKS) == list(MACHINES)[: list(MACHINES).index("cnn") + 1]  # one's own follow, and need none
    options = SCHEMA["$defs"]["machine_options"]["const"]
    assert list(options) == list(MACHINES)
    tasks = {"task", "datasets", "noise", "frame", "train", "test", "seeds", "machines"}
    assert {key for keys in options.values() for key in keys} == set(section) - tasks
    made = {name: make({"training": {}}) for name, make in MACHINES.items()}
    for name, keys in options.items():
        assert set(keys) <= {key.rpartition("__")[2] for key in made[name].get_params()} | {"training"}, name
    assert all(section[name]["enum"] == list(CHOICES[name]) for name in section.keys() & CHOICES.keys())
    assert set(section["nonlinearity"]["enum"]) == set(NONLINEARITIES)
    signatures = [inspect.signature(machine).parameters for machine in (ConvRFM, DeepConvRFM)]
    defaults = {name: one.default for parameters in signatures for name, one in parameters.items()}
    options = {key for keys in options.values() for key in keys}
    place = {"device", "memory", "random_state", "dtype"}
    assert options - {"training"} == defaults.keys() - place - {"kernel", "machine", "layers"}
    for name in options - {"training", "ridges"}:
        assert section[name]["default"] == defaults[name], name
    assert section["ridges"]["default"] == list(defaults["ridges"])
    for name, key in section["training"]["properties"].items():
        assert getattr(CNN_PROTOCOL, name) == key["default"], name


def test_figures_are_those_of_the_library():
    libraries = ("common", "FIGURES", CURVES), ("cases", "STAGES", STAGES), ("cases", "SCORED", SCORE_FIGURES)
    for file, name, library in libraries:
        text = (ROOT / f"workflow/rules/{file}.smk").read_text()
        assert re.search(rf"^{name} = (.*)", text, re.MULTILINE).group(1) == json.dumps(list(library))


def keys(schema, prefix=""):
    """Yield (key, subschema) for every key of the configuration."""
    if "$ref" in schema:
        schema = schema | SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    for name, sub in schema.get("properties", {}).items():
        yield f"{prefix}{name}", sub
        if not ("$ref" in sub and prefix):  # a part that others have too is documented once, at the top
            yield from keys(sub, f"{prefix}{name}.")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from keys(schema["additionalProperties"], f"{prefix}<name>.")


@pytest.mark.parametrize(
    ("key", "schema"), list(keys(SCHEMA)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_key_is_documented_with_its_default(key, schema):
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*) \| ([^|]*) \|", (ROOT / "config/README.md").read_text(), re.MULTILINE)
    documented = {name: default.strip() for name, _, default in rows}
    assert "description" in schema or "$ref" in schema
    expected = schema.get("default", "")
    if isinstance(expected, dict):
        expected = ""
    assert documented[key] == (f"`{json.dumps(expected)}`" if expected != "" else "")


def test_every_dataset_is_documented():
    table = (ROOT / "config/README.md").read_text().partition("## Every dataset")[2].partition("\n## ")[0]
    first_columns = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert re.findall(r"`(\w+)`", " ".join(first_columns)) == list(DATASETS)


def test_schema_and_study_stand_at_the_top_of_each_configuration():
    for name in ("config.yaml", "study.yaml", "ansatz.yaml", "kernels.yaml"):
        assert (ROOT / "config" / name).read_text().startswith("# yaml-language-server: $schema=")


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
    pins = dict(pin.split("==") for pin in environment["dependencies"][-1]["pip"])
    assert pins == {package: locked[package] for package in pins}


def test_conda_environments_hold_what_their_scripts_import():
    """Third-party modules that the library files of each rule import, however deep inside of functions."""
    packages = {"sklearn": "scikit-learn", "PIL": "pillow"}
    for text, script in rules().values():
        environment = re.search(r"conda:\n\s+(\w+)", text).group(1).lower()
        held = (ROOT / "envs" / f"{environment}.yaml").read_text()
        for file in reached(script):
            for module in third_party(ROOT / file):
                package = packages.get(module, module)
                assert f"- {package}==" in held, f"{file} imports {module}; envs/{environment}.yaml lacks {package}"


def third_party(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in names:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "ansatz":
                yield top
