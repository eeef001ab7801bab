"""
Needs: the checked configuration. Makes: what all rules share: where things are, and what a script reaches.
"""

import ast
import hashlib
import os
from pathlib import Path

RESULTS = f"results/{config['name']}"
LOGS = f"{RESULTS}/logs"
FETCHED_WEIGHTS = f"{RESULTS}/weights/{{weights}}.pth"
PUBLISHED = "results/published/initialization_study.csv"
FIGURES = ["accuracy", "gap"]
SCRIPTS = Path(workflow.basedir).parent / "scripts"
TORCH, TABLES = "../../envs/torch.yaml", "../../envs/tables.yaml"

DEVICE = {"name": config["device"], "deterministic": config["deterministic"]}
COMPILED = f"{RESULTS}/compiled"
MEMORY = config["memory"] and int(config["memory"] * 1e9)  # bytes
GPU = 0 if config["device"] == "cpu" else 1


wildcard_constraints:
    dataset="[A-Za-z0-9_-]+",
    initializer="[a-z0-9_]+",
    seed="[0-9]+",
    weights="[A-Za-z0-9_.]+",
    case="[^/]+(/[^/]+)+",
    state="initial|trained",
    experiment="[A-Za-z0-9_-]+",
    figure="[a-z_]+",
    noise="[0-9.e+-]+",
    machine="[a-z_]+",


def network_of(section):
    """What a network is built from, of a section of the configuration."""
    own = SCHEMA["$defs"]["own_options"]["const"].get(section["name"], [])
    return {key: section[key] for key in ("name", "width", "in_channels", *own) if key in section}


def images_of(section):
    """What images the section's network takes."""
    return {"size": section["image_size"], "channels": section["in_channels"], "memory": MEMORY}


def torchvision_network(weights):
    """What torchvision's network of these weights is built from."""
    return {"name": weights.partition("_Weights")[0].lower(), "width": 1.0, "in_channels": 3}


NETWORK, IMAGES = network_of(config["network"]), images_of(config["network"])
ESTIMATOR = {key: config["feature_matrices"][key] for key in ("probes", "precision")}


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


def configured(section):
    """Nothing, as a function of the wildcards; or one line, where the section is missing that a target is made of."""

    def check(wildcards):
        return [] if section in config else sys.exit(f"config.{section}: missing; config/README.md says what it holds")

    return check


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


def checksum_of_weights(wildcards):
    """The checksum that the configuration gives the weights; if none, torchvision's."""
    return SOURCE.get("sha256", "") if SOURCE.get("weights") == wildcards.weights else ""


def fetched():
    """What has to be downloaded for all that is configured: archives of datasets but the user's own, and weights."""
    studied = [case["dataset"] for case in CASES.values()] + [case["dataset"] for case in EVOLUTION.values()]
    studied += [case["dataset"] for case in LEARNING.values()]
    names = {*config["datasets"], *studied, SOURCE.get("images", SOURCE.get("dataset"))} - {None}
    registered = sorted(name for name in names if "folder" not in (config["datasets"].get(name) or {}))
    weights = {*ANSATZ.get("pretrained", {}).get("weights", []), SOURCE.get("weights")} - {None}
    archives = expand(rules.fetch_dataset.output.archives, dataset=registered)
    return archives + expand(rules.fetch_weights.output.weights, weights=sorted(weights))


def runs(pattern):
    """The pattern filled with every (dataset, initializer, seed) of the configuration."""
    return expand(
        pattern,
        dataset=config["datasets"],
        initializer=config["initializers"],
        seed=config["seeds"],
    )
