"""Refuse configuration files that YAML reads as something else than they look like.

Snakemake reads configuration files as YAML 1.1, where a repeated key silently replaces the first and ``010`` is 8. What
passes here means the same in YAML 1.2, so what Snakemake reads is what the file looks like.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from ansatz.errors import UserError
from ansatz.workflow.configuration.mistakes import shown

UNREADABLE = (yaml.YAMLError, ValueError, LookupError)  # what PyYAML raises for a value that is not of its type
MOST_VALUES = 100_000  # of a file in which every alias is replaced by what it stands for
TAG = "tag:yaml.org,2002:"
CLEAR = {
    "null": ".*",
    "bool": "true|True|TRUE|false|False|FALSE",
    "int": "[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+",
    "float": r"[-+]?([0-9]*\.[0-9]*([eE][-+][0-9]+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
    "str": "(?s:.*)",
    "merge": "<<",
}  # type -> the spellings that mean the same in YAML 1.1 and 1.2


def check_yaml(path: str | Path) -> None:
    """Refuse a file with repeated keys, ambiguous values, endless aliases, or an encoding other than UTF-8.

    Raises
    ------
    UserError
        If there is such a mistake, or if the file is not YAML; the message names the file and the line.
    """
    try:
        content = Path(path).read_bytes()
    except OSError:
        return  # Snakemake reports it
    try:
        root = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
        for count, (line, wrong) in enumerate(_mistakes(root)):
            if wrong:
                raise UserError(f"{path}, line {line}: {wrong}")
            if count == MOST_VALUES:
                raise UserError(f"{path}: with its aliases, it holds more than {MOST_VALUES} values")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8; save the file in this encoding") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}, line {line}: not YAML; {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML; {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply, or an alias contains itself") from None


def _mistakes(node: yaml.Node | None) -> Iterator[tuple[int, str | None]]:
    """Yield the line of each value, and what is wrong with it; aliases are followed each time they occur."""
    if isinstance(node, yaml.ScalarNode):
        yield _line(node), _ambiguity(node)
    if isinstance(node, yaml.CollectionNode) and node.tag not in (f"{TAG}seq", f"{TAG}map"):
        yield _line(node), f"the tag {node.tag} is not used here; remove it"
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _mistakes(item)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            yield from _mistakes(key)
            if not isinstance(key, yaml.ScalarNode):
                yield _line(key), "a key is a list or a mapping; keys are text"
            if key.value == "<<" and isinstance(value, yaml.ScalarNode):
                yield _line(key), f"<< takes the keys of a mapping, not {value.value}"
            if key.value == "__use_yte__":
                yield _line(key), "__use_yte__ would run code of this file; remove it"
            if str(key.value) in lines:
                yield _line(key), f"the key {key.value!r} is already on line {lines[str(key.value)]}; keep one of them"
            lines[str(key.value)] = _line(key)
            yield from _mistakes(value)


def _ambiguity(scalar: yaml.ScalarNode) -> str | None:
    """Return what to write instead of a value that means something else in YAML 1.1 than in YAML 1.2."""
    kind = scalar.tag.removeprefix(TAG)
    if re.fullmatch(CLEAR.get(kind, ""), scalar.value):
        return None
    try:
        meaning = shown(yaml.safe_load(scalar.value)) if kind in CLEAR else f"a {kind}"
    except UNREADABLE:
        return f"{scalar.value} is no {kind}; put text into quotes"
    return f"{scalar.value} would be read as {meaning}; write a plain number, true or false, or put text into quotes"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
