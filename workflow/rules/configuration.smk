"""
Needs: the configuration. Makes: the same, checked and filled up with defaults; or one line that says what is wrong.
"""

import difflib
import json
import os
import sys
from math import inf

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import best_match
from snakemake.utils import validate

TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping of keys to values",
    "string": "text",
}


# What JSON Schema is generous about: to it, 2.0 is an integer and nan a number.
STRICT = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda _, value: isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < inf,
    }
)


def oddities(config, key="config"):
    """Yield what YAML allows and a schema does not see: keys that are no text, text that breaks paths and lines."""
    if isinstance(config, str) and (set(config) & set("{}") or not config.isprintable()):
        yield f"{key}: {config!r} holds a brace or an unprintable character"
    if isinstance(config, list):
        for position, value in enumerate(config):
            yield from oddities(value, f"{key}.{position}")
    if isinstance(config, dict):
        for name, value in config.items():
            if not isinstance(name, str):
                yield f"{key}: the key {name!r} is not text; put it into quotes"
            yield from oddities(name, key)
            yield from oddities(value, f"{key}.{name}")


def as_number(value):
    """How a number that YAML took for text is to be written: 1e-3 is text, 0.001 and 1.0e-3 are numbers."""
    for number in (int, float) if isinstance(value, str) else ():
        try:
            written = repr(number(value))
            return f"; write {written if '.' in written else written.replace('e', '.0e')} without quotes"
        except ValueError:
            continue
    return ""


def as_written(value):
    """Return a value as YAML has it."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def unsatisfied(error):
    """Put a violation of the schema into one line: the key, the value, what would be right."""
    key = ".".join(["config", *map(str, error.absolute_path)])
    if error.validator == "additionalProperties":
        allowed = list(error.schema["properties"])
        odd = sorted(set(error.instance) - set(allowed))[0]
        near = "".join(f"did you mean {name!r}? " for name in difflib.get_close_matches(odd, allowed, n=1))
        return f"{key}: unknown key {odd!r}; {near}allowed are {', '.join(allowed)}"
    if error.validator == "enum":
        return f"{key}: {error.instance!r} is none of {', '.join(as_written(value) for value in error.validator_value)}"
    if error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return (
            f"{key}: {error.instance!r} is not {' or '.join(TYPES[name] for name in wanted)}{as_number(error.instance)}"
        )
    if error.validator in ("pattern", "anyOf"):
        meaning = error.schema.get("description", "see config/README.md")
        return f"{key}: {error.instance!r} does not fit; {meaning}"
    if error.validator in ("minProperties", "maxProperties") and "properties" in error.schema:
        how_many = "exactly" if "maxProperties" in error.schema else "at least"
        return f"{key}: give {how_many} one of {', '.join(error.schema['properties'])}"
    return f"{key}: {error.message}"


def is_file(picture):
    """Whether a picture is a file of the user's: no image of the dataset, and none that comes with scikit-learn."""
    return picture not in ("china", "flower") and not isinstance(picture, int)


def networks(config):
    """Yield every network that is described: the key of its section, its own section, and the one that it is in."""
    yield "", config["network"], config
    for kind, parts in (
        ("ansatz.trained", config.get("ansatz", {}).get("trained", {})),
        ("evolution", config.get("evolution", {})),
    ):
        for name, part in parts.items():
            yield f"{kind}.{name}.", part["network"], part


def datasets(config):
    """Yield every dataset that is named as data: the key, and the name."""
    for kind, source in config.get("source", {}).items():
        yield f"source.{kind}", source.get("images", source.get("dataset"))
    for name, part in config.get("ansatz", {}).get("trained", {}).items():
        for dataset in part["datasets"]:
            yield f"ansatz.trained.{name}.datasets", dataset
    if "pretrained" in config.get("ansatz", {}):
        yield "ansatz.pretrained.images", config["ansatz"]["pretrained"]["images"]
    for name, part in config.get("evolution", {}).items():
        yield f"evolution.{name}.dataset", part["dataset"]
    for name, part in config.get("kernels", {}).items():
        for dataset in part["datasets"]:
            yield f"kernels.{name}.datasets", dataset


def files(config):
    """Yield every file or folder of the user's: the key, and the path."""
    yield "data_dir", config["data_dir"]
    yield "source.checkpoint.path", config.get("source", {}).get("checkpoint", {}).get("path")
    for name, options in config["datasets"].items():
        yield f"datasets.{name}.folder", (options or {}).get("folder")
    for position, picture in enumerate(config["pictures"]):
        yield f"pictures.{position}", picture if is_file(picture) else None


def wrong_datasets(config, schema):
    """Yield what is wrong with datasets, a line each."""
    registry, resized = (schema["$defs"][kind]["enum"] for kind in ("dataset", "resized_dataset"))
    for name, options in config["datasets"].items():
        if name not in registry and "folder" not in (options or {}):
            yield f"datasets: {name!r} is none of {', '.join(registry)}; images of your own need the key folder"
        if "size" in (options or {}) and "folder" not in options and name not in resized:
            yield f"datasets.{name}.size: only for images of your own, with the key folder, and for {', '.join(resized)}"
    known = [*registry, *config["datasets"]]
    for key, name in datasets(config):
        if name not in known:
            yield f"{key}: {name!r} is no dataset; they are {', '.join(dict.fromkeys(known))}"


def wrong_networks(config, schema):
    """Yield what is wrong with networks and what they start from, a line each."""
    own = schema["$defs"]["own_options"]["const"]
    for key, network, part in networks(config):
        name, convolutions = network["name"], schema["$defs"]["layers"]["const"].get(network["name"])
        for layer in part.get("layers") or []:
            if convolutions and layer not in convolutions and "depth" not in network:
                yield f"{key}layers: {layer!r} is no convolution of {name}; they are {', '.join(convolutions)}"
        for where, options in ("network", network), ("vary", part.get("vary", {})):
            for option in options:
                if option not in ("name", "width", "in_channels", "image_size", *own.get(name, [])):
                    yield f"{key}{where}.{option}: {name} has no {option}; {', '.join(own)} has"
        for option in "std", "first_std":
            if part.get(option) and part["initializer"] != "normal":
                yield f"{key}{option}: with the initializer normal only, but it is {part['initializer']}"
    needing = [name for name in config["initializers"] if name in schema["$defs"]["feature_initializer"]["enum"]]
    if needing and "source" not in config:
        yield f"source: missing, but {', '.join(needing)} draw from feature matrices; give pretrain, torchvision or checkpoint"


def wrong_tasks(config, schema):
    """Yield what is wrong with the tasks of kernel machines, a line each."""
    for name, part in config.get("kernels", {}).items():
        task, options = part["task"], schema["$defs"]["task_options"]["const"]
        for kind, named in ("task", [task]), ("machine", part["machines"]):
            for one in named:
                if one not in schema["$defs"][f"{kind}_options"]["const"]:
                    yield f"kernels.{name}.{kind}: {one} is to be in the schema's $defs.{kind}_options too, with what it takes"
        if part["datasets"] and "datasets" not in options[task]:
            yield f"kernels.{name}.datasets: {', '.join(part['datasets'])}, but the task {task} draws its own images"
        if not part["datasets"] and "datasets" in options[task]:
            yield f"kernels.{name}.datasets: missing, of whose images the task {task} is made"
        if part["noise"] != [0] and "noise" not in options[task]:
            noisy = [other for other in options if "noise" in options[other]]
            yield f"kernels.{name}.noise: {part['noise']}, but the task {task} has none; {' and '.join(noisy)} have"
        if "cntk" not in part["machines"]:
            yield f"kernels.{name}.machines: cntk is missing, with which the others are compared"


def wrong_files(config, schema):
    """Yield what is wrong with files and folders, a line each."""
    if config["name"].lower() == "published":
        yield "name: published holds the sources' numbers in results/; take another name"
    for key, path in files(config):
        if path and not os.path.exists(path):
            yield f"{key}: {path!r} is not there (looked for from {os.getcwd()})"
        if path and key.startswith("pictures") and os.path.isdir(path):
            yield f"{key}: {path!r} is a folder; name its images"
    if config["data_dir"] and not os.path.isdir(config["data_dir"]):
        yield f"data_dir: {config['data_dir']!r} is no folder"
    stems = [os.path.splitext(os.path.basename(str(picture)))[0] for picture in config["pictures"]]
    for picture, stem in zip(config["pictures"], stems):
        if stems.count(stem) > 1:
            yield f"pictures: {picture!r} has the name of another; what is drawn is named after them"


def check(config, path):
    """Validate the configuration, and fill in the schema's defaults."""
    with open(path) as stream:
        schema = yaml.safe_load(stream)
    for line in oddities(config):
        sys.exit(line)
    if error := best_match(validators.extend(Draft202012Validator, type_checker=STRICT)(schema).iter_errors(config)):
        sys.exit(unsatisfied(error))
    validate(config, path)
    for wrong in wrong_files, wrong_datasets, wrong_networks, wrong_tasks:
        for line in wrong(config, schema):
            sys.exit(f"config.{line}")  # a WorkflowError would come with the places in the code where it was raised
    return schema


SCHEMA = check(config, workflow.source_path("../schemas/config.schema.yaml"))
