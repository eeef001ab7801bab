"""The tables of config/README.md, in Markdown: every key, option and dataset."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansatz import registry
from ansatz.workflow.configuration.choices import level
from ansatz.workflow.configuration.documentation import json_schema, option_schema, registered_options
from ansatz.workflow.configuration.kernels import KernelExperiment
from ansatz.workflow.configuration.networks import NetworkConfig
from ansatz.workflow.configuration.types import Section

NOUNS = {
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "object": "mapping",
    "null": "null",
}
SHARED = {
    "NetworkConfig": "[network](#network)",
    "TrainingSection": "[training](#training)",
    "Initializer": "[initializer](#initializers)",
    "Machine": "[machine](#kernel-machines-and-tasks)",
}  # what is documented once, beside the table of keys
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def tables() -> dict[str, str]:
    """Return each table of config/README.md by the name in its markers."""
    schema = json_schema()
    definitions = schema["$defs"]
    return {
        "keys": _keys(_rows(schema, definitions)),
        "network": _keys(_rows({"properties": _own(NetworkConfig, definitions)}, definitions)),
        "networks": _registered("network"),
        "training": _keys(_rows(definitions["TrainingSection"], definitions)),
        "metrics": _names("metric"),
        "initializers": _registered("initializer"),
        "tasks": _registered("task"),
        "machines": _names("machine"),
        "options": _machine_options(),
        "datasets": _datasets(),
    }


# ------------------------------------------------------------------------------------------------- keys
def _own(model: type[Section], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a model without the options of what it names, which have tables of their own."""
    properties = definitions[model.__name__]["properties"]
    return {key: properties[key] for key in properties if key in model.model_fields}


def _rows(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each key of a schema, with what the schema says of it; what is shared is documented once."""
    for name, part in schema.get("properties", {}).items():
        inner = _resolved(part, definitions)
        description = {"description": part.get("description", inner.get("description", ""))}
        yield f"{prefix}{name}", {**part, **description}
        yield from _rows(inner, definitions, f"{prefix}{name}.")
        if isinstance(values := inner.get("additionalProperties"), Mapping):
            yield from _rows(_resolved(values, definitions), definitions, f"{prefix}{name}.<name>.")


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section that a schema refers to, unless it is documented elsewhere."""
    for alternative in schema.get("anyOf", [schema]):
        name = alternative.get("$ref", "").rpartition("/")[2]
        if name in SHARED:
            return {}
        if name == KernelExperiment.__name__:
            return {"properties": _own(KernelExperiment, definitions)}
        if name:
            return definitions[name]
    return schema


def _keys(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    return _table(
        ("key", "type", "default", "meaning"),
        [(f"`{key}`", type_text(part), _default(part), part["description"]) for key, part in rows],
    )


def type_text(schema: Mapping[str, Any], *, many: bool = False) -> str:
    """Return in words what values a schema allows."""
    if "$ref" in schema:
        return SHARED.get(schema["$ref"].rpartition("/")[2], "mapping")
    if "enum" in schema or "const" in schema:
        return " · ".join(f"`{_plain(value)}`" for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        texts = dict.fromkeys(type_text(alternative, many=many) for alternative in schema["anyOf"])
        if _is_section(schema):
            del texts["null"]
        return (", or " if "," in "".join(texts) else " or ").join(texts)
    if schema.get("type") == "array":
        return f"list of {type_text(schema.get('items', {}), many=True)}"
    if schema.get("type") not in NOUNS:
        return "values" if many else "value"
    noun = NOUNS[schema["type"]]
    bounds = [f"{words} {level(schema[bound])}" for bound, words in BOUNDS.items() if bound in schema]
    return ", ".join([f"{noun}s" if many and noun.endswith("number") else noun, *bounds])


def _default(schema: Mapping[str, Any]) -> str:
    has_default = "default" in schema and not _is_section(schema)
    return f"`{json.dumps(schema['default'], ensure_ascii=False)}`" if has_default else ""


def _is_section(schema: Mapping[str, Any]) -> bool:
    """Whether a key is a section that may be left out, instead of being null."""
    texts = [type_text(alternative) for alternative in schema.get("anyOf", [])]
    return "null" in texts and any(
        text == "mapping" for text, alternative in zip(texts, schema["anyOf"], strict=True) if "$ref" in alternative
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# ------------------------------------------------------------------------------------------------- what is registered
def _registered(kind: str) -> str:
    """Return the table of what is registered of a kind, with its options."""
    rows = []
    for definition in registry.definitions(kind).values():
        own = {name: option for name, option in definition.options.items() if name not in NetworkConfig.model_fields}
        described = [f"`{name}`: {_described(option_schema(option))}" for name, option in own.items()]
        rows.append((f"`{definition.name}`", _sentence(definition.summary), "<br>".join(described)))
    return _table(("name", "what", "options"), rows)


def _described(schema: Mapping[str, Any]) -> str:
    default = f" (default {_default(schema)})" if "default" in schema else ""
    return f"{type_text(schema)}{default}; {schema['description']}"


def _names(kind: str) -> str:
    """Return the table of what is registered of a kind, without options."""
    rows = [(f"`{name}`", _sentence(definition.summary)) for name, definition in registry.definitions(kind).items()]
    return _table(("name", "what"), rows)


def _machine_options() -> str:
    """Return the table of the options of machines: with the same key they mean the same to all that have them."""
    machines = registry.definitions("machine")
    rows = []
    for name, schema in registered_options("machine").items():
        having = [machine for machine, definition in machines.items() if name in definition.options]
        takers = "all" if len(having) == len(machines) else ", ".join(f"`{machine}`" for machine in having)
        rows.append((f"`{name}`", type_text(schema), _default(schema), takers, schema["description"]))
    return _table(("option", "type", "default", "of", "meaning"), rows)


def _datasets() -> str:
    rows = []
    for definition in registry.definitions("dataset").values():
        images, pixels = (str(definition.declared.get(key, "")) for key in ("images", "pixels"))
        classes = definition.declared.get("classes")
        what = definition.summary.partition(": ")[2] or definition.summary
        rows.append(
            (
                f"`{definition.name}`",
                images,
                f"{classes:,}" if classes else "",
                pixels,
                what.rstrip("."),
            )
        )
    return _table(("name", "training + validation + test images", "classes", "pixels", "what"), rows)


def _sentence(summary: str) -> str:
    """Return the first line of a docstring as a description: "Build a network." is "A network"."""
    text = re.sub(r"^(Build|Return) ", "", summary).rstrip(".")
    return text[:1].upper() + text[1:]


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    cells = [[cell.replace("|", "\\|").replace("``", "`") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *cells]]
    return "\n".join(line.replace("|  |", "| |") for line in lines)
