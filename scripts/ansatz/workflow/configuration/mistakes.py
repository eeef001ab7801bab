"""How a mistake in a configuration is worded: one line with the key, the value and what would be right."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from ansatz.errors import near, suggesting

TYPES = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
}  # the beginning of pydantic's error -> what was expected
BOUNDS = {"greater_than_equal": "at least", "greater_than": "above", "less_than_equal": "at most", "less_than": "below"}


def mistake(text: str) -> PydanticCustomError:
    """Return the error of a validator; `text` follows the key."""
    return PydanticCustomError("mistake", "{text}", {"text": text})


def under(key: str | int, error: ValidationError | PydanticCustomError) -> ValidationError:
    """Return the same error, one key further down."""
    if isinstance(error, PydanticCustomError):
        return at((key,), error.message())
    details = error.errors(include_url=False)[0]
    return at((key, *details["loc"]), wording(details))


def at(keys: Iterable[str | int], text: str) -> ValidationError:
    """Return the error of a validator about something further down."""
    lines = [InitErrorDetails(type=mistake(text), loc=tuple(keys), input=None)]
    return ValidationError.from_exception_data("configuration", lines)


def line(error: ValidationError) -> str:
    """Return the first mistake of a configuration in one line."""
    details = error.errors(include_url=False)[0]
    key = ".".join(["config", *(str(part) for part in details["loc"] if part != "[key]")])
    return f"{key}: {wording(details)}"


def wording(details: ErrorDetails) -> str:
    """Return what an error of pydantic says of a value, in our words."""
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "mistake":
        return str(context["text"])
    if kind in BOUNDS:
        (bound,) = (context[name] for name in ("ge", "gt", "le", "lt") if name in context)
        size = "small" if kind.startswith("greater") else "large"
        return f"{shown(value)} is too {size}; it must be {BOUNDS[kind]} {shown(bound)}"
    if kind in ("too_short", "string_too_short"):
        return f"{shown(value)} is empty" + ("; name at least one" if kind == "too_short" else "")
    if kind == "string_too_long":
        return f"{shown(value)} is too long; it may have {context['max_length']} characters"
    type_ = kind.partition("_")[0]
    if expected := TYPES.get(type_):
        return f"{shown(value)} is not {expected}{rewritten(value, whole=type_ == 'int')}"
    return f"{shown(value)}: {details['msg']}"


def shown(value: Any) -> str:
    """Return a value as a message shows it: text in quotes; null, true and false as in YAML."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}" if abs(value) < 1e15 else repr(value)
    return repr(dict(value)) if isinstance(value, Mapping) else repr(value)


def written(value: Any) -> str:
    """Return a value as it is written in YAML."""
    return value if isinstance(value, str) else shown(value)


def rewritten(value: Any, *, whole: bool) -> str:
    """Return how a number that YAML reads as text has to be written: 1e-3 is text, 0.001 and 1.0e-3 are numbers."""
    for number in (int, float) if isinstance(value, str) else ():
        try:
            text = shown(number(value)) if whole else repr(number(value))
        except ValueError:
            continue
        if whole and not text.isdigit():
            return ""
        return f"; write {text if '.' in text else text.replace('e', '.0e')} without quotes"
    return ""


def none_of(value: Any, names: Iterable[Any]) -> str:
    """Return the wording for a value that is not among those allowed."""
    allowed = list(map(written, names))
    return suggesting(f"{shown(value)} is none of {', '.join(allowed)}", value, allowed)


def no_such(kind: str, name: str, available: Iterable[str]) -> str:
    """Return the wording for a name that nothing of a kind has, such as "dataset"."""
    available = list(available)
    return f"{suggesting(f'{name!r} is no {kind}', name, available)}; they are {', '.join(available)}"


def unknown_key(key: Any, allowed: Iterable[str]) -> str:
    """Return the wording for a key that is not among those allowed."""
    allowed = list(allowed)
    return f"unknown key {key!r}; " + " ".join(filter(None, [near(key, allowed), f"allowed are {', '.join(allowed)}"]))


def joined(names: Iterable[str], word: str = "and") -> str:
    """Return names as a sentence lists them."""
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last


def have(names: Iterable[str]) -> str:
    """Return names as the subject of a sentence that ends in what they have: "a has" or "a and b have"."""
    names = list(names)
    return f"{joined(names)} {'have' if names[1:] else 'has'}"


def unprintable(config: Any, key: str = "config") -> Iterator[str]:
    """Yield what YAML allows but no key accepts: keys that are not text, and text that breaks paths and lines."""
    if isinstance(config, str) and (re.search("[{}]", config) or not config.isprintable()):
        yield f"{key}: {config!r} holds a brace or an unprintable character"
    if isinstance(config, list):
        for position, value in enumerate(config):
            yield from unprintable(value, f"{key}.{position}")
    if isinstance(config, Mapping):
        for name, value in config.items():
            if not isinstance(name, str):
                yield f"{key}: the key {name!r} is not text; put it into quotes"
            yield from unprintable(name, key)
            yield from unprintable(value, f"{key}.{name}")
