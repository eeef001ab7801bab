"""
Needs: the checked configuration. Makes: what all rules share: where things are, and what a script reaches.
"""

import ast
import hashlib
import os
from pathlib import Path

RESULTS = f"results/{config['name']}"
LOGS = f"{RESULTS}/logs"
PUBLISHED = "results/published/initialization_study.csv"
FIGURES = ["accuracy", "gap"]
SCRIPTS = Path(workflow.basedir).parent / "scripts"
TORCH, TABLES = "../../envs/torch.yaml", "../../envs/tables.yaml"

NETWORK = {key: config["network"][key] for key in ("name", "width", "in_channels")}
IMAGES = {
    "size": config["network"]["image_size"],
    "channels": config["network"]["in_channels"],
    "memory": config["memory"] and int(config["memory"] * 1e9),
}
DEVICE = {"name": config["device"], "deterministic": config["deterministic"]}
COMPILED = f"{RESULTS}/compiled"
GPU = 0 if config["device"] == "cpu" else 1


wildcard_constraints:
    dataset="[A-Za-z0-9_-]+",
    initializer="[a-z0-9_]+",
    seed="[0-9]+",
    figure="|".join(FIGURES),


def library(script):
    """The script and the files of the library that it reaches, as plain paths.

    As inputs they are compared by content: an edit reruns what depends on it, a touch or a fresh checkout nothing.
    """
    found, queue = set(), [SCRIPTS / script]
    while queue:
        path = queue.pop()
        if path not in found and path.exists():
            found.add(path)
            queue += [SCRIPTS.joinpath(*module.split(".")).with_suffix(".py") for module in imports(path)]
    return sorted(os.path.relpath(path) for path in found | {SCRIPTS / "ansatz" / "__init__.py"})


def imports(path):
    """All modules that a file may import, wherever in it; `from a import b` may mean a or a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from [
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names),
            ]


def growing(amount):
    """More at each attempt, as a function of it: a job that was killed for a limit gets on with a larger one."""

    def at(wildcards, attempt):
        return amount * attempt

    return at


def option(key, default=None):
    """What the configuration says about a dataset, as a function of the wildcards."""

    def of(wildcards):
        return (config["datasets"].get(wildcards.dataset) or {}).get(key, default)

    return of


def has_folder(wildcards):
    """Whether the dataset is the user's own images."""
    return option("folder")(wildcards) is not None


def listing(wildcards):
    """A hash of the names and sizes of a user's images: a folder's own date does not show what changes further down."""
    root = option("folder")(wildcards)
    paths = [path for path in Path(root).rglob("*") if path.is_file()] if root else []
    files = sorted((str(path.relative_to(root)), path.stat().st_size) for path in paths)
    return hashlib.sha256(repr(files).encode()).hexdigest()


def archives_or_folder(wildcards):
    """Where the images come from: the registry's archives, or the user's folder or zip."""
    return option("folder")(wildcards) or rules.fetch_dataset.output.archives.format(**wildcards)


def draws_from_features(wildcards):
    """Whether the initializer draws from feature matrices; the others neither wait for the source nor depend on it."""
    return wildcards.initializer in SCHEMA["$defs"]["feature_initializer"]["enum"]


def features_if_needed(wildcards):
    """The feature matrices, for initializers that draw from them."""
    return rules.extract_features.output.features if draws_from_features(wildcards) else []


def covariance_if_needed(wildcards):
    """How feature matrices become covariances, for initializers that draw from them."""
    how = {"scaling": config["covariance_scaling"], "layers": config["layers"]}
    return how if draws_from_features(wildcards) else {}


def fetched():
    """What has to be downloaded for the configured grid: archives of all datasets but the user's own, and weights."""
    names = {*config["datasets"], SOURCE.get("images", SOURCE.get("dataset"))} - {None}
    registered = sorted(name for name in names if "folder" not in (config["datasets"].get(name) or {}))
    archives = expand(rules.fetch_dataset.output.archives, dataset=registered)
    return archives + (rules.fetch_weights.output if SOURCE_KIND == "torchvision" else [])


def runs(pattern):
    """The pattern filled with every (dataset, initializer, seed) of the configuration."""
    return expand(
        pattern,
        dataset=config["datasets"],
        initializer=config["initializers"],
        seed=config["seeds"],
    )
