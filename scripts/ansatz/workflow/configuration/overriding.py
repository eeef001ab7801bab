"""What ``--config`` changes in a configuration.

Snakemake reads the value of a key as a number, as true or false, or as YAML whose leaves are all text.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import yaml

from ansatz.workflow.configuration.kernels import KernelExperiment
from ansatz.workflow.configuration.model import PARTS, Configuration, places_of

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def overridden(raw: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with what the command line changes.

    A key of sections that stands at the top, such as ``seeds``, replaces the section's own in every section and
    experiment that has such a key; sources keep theirs, from which features would be extracted anew.
    """
    values = typed(overrides)
    common = {key: values.pop(key) for key in [*values] if key not in Configuration.model_fields and places_of(key)}
    config = merged({key: deepcopy(raw[key]) for key in raw if key not in common}, values)
    for key, value in common.items():
        owners = [
            part for path, part in _parts(config) if key in PARTS[path].model_fields or key in _options(path, part)
        ]
        for part in owners:
            part[key] = merged(part.get(key), value)
        if not owners:
            config[key] = value  # which is refused there
    return config


def _parts(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sections and experiments of a configuration, each with its path in `PARTS`, ready to be changed."""
    for path in PARTS:
        *outer, last = path.split(".")
        holder: Any = config
        for key in outer if last == "<name>" else [last]:
            holder = holder.get(key) if isinstance(holder, Mapping) else None
        candidates = holder.values() if last == "<name>" and isinstance(holder, Mapping) else [holder]
        yield from ((path, part) for part in candidates if isinstance(part, dict))


def _options(path: str, part: Mapping[str, Any]) -> set[str]:
    """Return the options of the task and the machines of an experiment with kernels."""
    owners = KernelExperiment.owners(part) if PARTS[path] is KernelExperiment else []
    return {option for owner in owners for option in owner}


def typed(value: Any) -> Any:
    """Return a value whose leaves have the types that YAML gives them, instead of all being text."""
    if isinstance(value, Mapping):
        return {key: typed(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [typed(part) for part in value]
    if not isinstance(value, str):
        return value
    if NUMBER.fullmatch(value):
        return float(value) if re.search("[.eE]", value) else int(value)
    try:
        leaf = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, LookupError, RecursionError):
        return value
    return leaf if leaf is None or isinstance(leaf, bool) else value


def merged(base: Any, changes: Any) -> Any:
    """Return a mapping with the changes of another, key by key; anything else is replaced."""
    if not isinstance(base, Mapping) or not isinstance(changes, Mapping):
        return changes
    return dict(base) | {key: merged(base.get(key), value) for key, value in changes.items()}
