"""What the source says of registered things, without importing it.

The host on which Snakemake runs may have no PyTorch; so names, declared properties and options are read from the
syntax tree of the files that define them.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types

from ansatz.errors import UserError

LIBRARY = Path(__file__).parent
PACKAGES = {
    "initializer": "initializers",
    "network": "networks",
    "dataset": "data",
    "metric": "training",
    "machine": "machines",
    "kernel": "machines",
    "task": "machines",
    "exporter": "export",
}  # kind -> the package whose files define the library's own
SET_BY_THE_JOB = ("device", "memory", "random_state", "dtype")  # parameters that are no options
REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()  # the default of an option without one
NOT_LITERAL: Any = type("NotLiteral", (), {"__repr__": lambda self: "NOT_LITERAL"})()  # a value that is not known
TYPES = {
    **{cls.__name__: cls for cls in (bool, dict, float, int, list, str, tuple, Mapping, Sequence)},
    **{"Annotated": Annotated, "Any": Any, "Literal": Literal, "None": None},
    **{name: getattr(annotated_types, name) for name in ("Ge", "Gt", "Interval", "Le", "Len", "Lt", "MinLen")},
}  # what the type of an option may be made of
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")  # it becomes a part of paths
NO_LITERAL = (ArithmeticError, LookupError, MemoryError, NameError, RecursionError, SyntaxError, TypeError, ValueError)
DECORATED = re.compile(rf"^@(?:\w+\.)*(?:{'|'.join(PACKAGES)})\b", re.MULTILINE)


@dataclass(frozen=True)
class Option:
    """An option of something registered, as its source declares it.

    Attributes
    ----------
    name : str
    type : Any
        A typing object, such as ``Annotated[int, Ge(1)]`` or ``Literal["random", "first"]``.
    default : Any
        `REQUIRED` where there is none.
    meaning : str
        What the docstring says of the parameter.
    """

    name: str
    type: Any
    default: Any
    meaning: str


@dataclass(frozen=True)
class Definition:
    """What the source says of something registered, without importing it.

    Attributes
    ----------
    kind, name : str
    file : Path
        Where it is defined.
    doc : str
        Its docstring.
    declared : mapping of str to Any
        The decorator's keywords, where they are literals.
    options : mapping of str to Option
    """

    kind: str
    name: str
    file: Path
    doc: str
    declared: Mapping[str, Any]
    options: Mapping[str, Option]

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]


def registered_name(identifier: str, *, is_class: bool) -> str:
    """Return the name of what is defined under an identifier: of a class in lower case."""
    return identifier.lower() if is_class else identifier


@cache
def definitions_in(file: Path, _changed: int) -> list[Definition]:
    """Return what a file registers, in its order; `_changed`, when it was last changed, is part of the cache's key."""
    try:
        if LIBRARY in file.parents and not DECORATED.search(file.read_text(encoding="utf-8")):
            return []  # most of its files register nothing, and parsing takes longer than reading
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as Python: {error}") from error
    source = _source(file)
    return [
        definition
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for decorator in node.decorator_list
        if (definition := source.definition(node, decorator))
    ]


@dataclass(frozen=True)
class _Source:
    """A parsed file, with the names that the definitions in it refer to."""

    file: Path
    tree: ast.Module
    constants: dict[str, Any]  # its module-level literals, and the types that it names
    imported: Mapping[str, Path]  # names that it imports from files of the library -> these files

    @classmethod
    def of(cls, file: Path) -> "_Source":
        try:
            tree = ast.parse(file.read_text(encoding="utf-8-sig"), file.name)
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"{file}: cannot be read as Python: {error}") from error
        constants: dict[str, Any] = {}
        imported: dict[str, Path] = {}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ansatz."):
                origin = LIBRARY.parent.joinpath(*str(node.module).split(".")).with_suffix(".py")
                imported |= {alias.asname or alias.name: origin for alias in node.names}
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                try:
                    value = _evaluated(node.value, TYPES | constants)
                except NO_LITERAL:
                    continue  # neither a literal nor a type
                constants |= {target.id: value for target in targets if isinstance(target, ast.Name)}
        return cls(file, tree, constants, imported)

    def definition(self, node: ast.FunctionDef | ast.ClassDef, decorator: ast.expr) -> Definition | None:
        call = decorator if isinstance(decorator, ast.Call) else None
        function = call.func if call else decorator
        kind = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        if kind not in PACKAGES:
            return None
        if call and (any(keyword.arg is None for keyword in call.keywords) or (call.args and kind != "dataset")):
            raise UserError(f"{self.file}: {kind} {node.name}: @{kind} takes keywords, each written out")
        keywords = {keyword.arg: keyword.value for keyword in (call.keywords if call else []) if keyword.arg}
        declared = {name: self._literal(value) for name, value in keywords.items() if name != "options_of"}
        if call and kind == "dataset":
            declared |= dict(zip(("address", "files"), map(self._literal, call.args), strict=False))
        options = dict(self.options(node))
        for owner in self._owners(keywords.get("options_of")):
            options |= {name: option for name, option in owner.items() if name not in options}
        without = declared.get("without")
        excluded = {*SET_BY_THE_JOB, *(without if isinstance(without, list | tuple) else ())}
        options = {name: option for name, option in options.items() if name not in excluded}
        name = declared.get("name") or registered_name(node.name, is_class=isinstance(node, ast.ClassDef))
        self._check_declared(f"{kind} {node.name}", declared)
        self._check(f"{kind} {name}", name, options)
        return Definition(kind, name, self.file, ast.get_docstring(node) or "", declared, options)

    def _check_declared(self, what: str, declared: Mapping[str, Any]) -> None:
        """Refuse keywords of a decorator that are no literals."""
        for key, value in declared.items():
            if value is NOT_LITERAL:
                raise UserError(f"{self.file}: {what}: {key}= is not a literal or a constant of the file")

    def _check(self, what: str, name: Any, options: Mapping[str, Option]) -> None:
        """Refuse a name that does not fit into paths, and options whose default or type is not known."""
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UserError(f"{self.file}: {what}: the name {name!r} does not fit; it has letters, digits, - and _")
        if what.startswith("metric ") and (name == "loss" or name.startswith("eval_")):
            raise UserError(f"{self.file}: {what}: tables have other columns of that name; give it another name")
        for option in options.values():
            if option.default is NOT_LITERAL:
                raise UserError(
                    f"{self.file}: {what}: the default of {option.name} is not a literal or a constant of the file"
                )

    def _literal(self, node: ast.expr) -> Any:
        try:
            return _evaluated(node, self.constants)
        except NO_LITERAL:
            return NOT_LITERAL

    def _owners(self, node: ast.expr | None) -> Iterable[Mapping[str, Option]]:
        """Yield the options of the classes that `options_of` names."""
        names = node.elts if isinstance(node, ast.Tuple | ast.List) else [node] if node else []
        for name in names:
            if isinstance(name, ast.Name):
                origin = self.imported.get(name.id)
                if origin and not origin.is_file():
                    raise UserError(f"{self.file}: options_of={name.id}: {origin} is not there; import from its file")
                source = _source(origin) if origin else self
                yield dict(source.options(source.named(name.id)))

    def named(self, name: str) -> ast.ClassDef | ast.FunctionDef:
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                return node
        raise UserError(f"{self.file}: defines no {name}")

    def options(self, node: ast.FunctionDef | ast.ClassDef) -> Iterable[tuple[str, Option]]:
        """Yield the keyword-only parameters of a function or of a class's ``__init__``, or a dataclass's fields."""
        meanings = parameters_of_docstring(ast.get_docstring(node) or "")
        for name, annotation, default in self._parameters(node):
            try:
                if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):  # in quotes
                    annotation = ast.parse(annotation.value, mode="eval").body
                type_ = _evaluated(annotation, TYPES | self.constants) if annotation else Any
            except NO_LITERAL:
                type_ = Any  # a type of the file's own
            value = REQUIRED if default is None else self._literal(default)
            yield name, Option(name, type_, value, meanings.get(name, ""))

    @staticmethod
    def _parameters(
        node: ast.FunctionDef | ast.ClassDef,
    ) -> Iterable[tuple[str, ast.expr | None, ast.expr | None]]:
        if isinstance(node, ast.ClassDef):
            methods = {member.name: member for member in node.body if isinstance(member, ast.FunctionDef)}
            if "__init__" not in methods:  # a dataclass
                for member in node.body:
                    if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                        yield member.target.id, member.annotation, member.value
                return
            node = methods["__init__"]
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            yield argument.arg, argument.annotation, default


def _source(file: Path) -> _Source:
    """Return the parsed file; again only if it has changed."""
    return _parsed(file, file.stat().st_mtime_ns)


@cache
def _parsed(file: Path, _changed: int) -> _Source:
    return _Source.of(file)


def _evaluated(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Evaluate literals, operators and the given names; nothing of the file is run."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and not (isinstance(part.func, ast.Name) and part.func.id in names):
            raise ValueError("calls something")
        if isinstance(part, ast.Attribute | ast.Lambda | ast.ListComp | ast.DictComp | ast.GeneratorExp | ast.SetComp):
            raise ValueError("is no literal")
    return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}}, dict(names))


def parameters_of_docstring(docstring: str) -> dict[str, str]:
    """Return what the section "Parameters" or "Attributes" of a NumPy docstring says of each parameter, in one line."""
    meanings: dict[str, str] = {}
    heading = r"^(?:Parameters|Attributes)\n-+\n(.*?)(?:\n\n?\w+\n-+\n|\Z)"
    section = re.search(heading, docstring, re.DOTALL | re.MULTILINE)
    names: list[str] = []
    for line in section.group(1).splitlines() if section else ():
        if line and not line.startswith(" "):
            names = [name.strip("* ") for name in line.partition(" : ")[0].split(",")]
            meanings |= dict.fromkeys(names, "")
        elif line.strip():
            meanings |= {name: f"{meanings[name]} {line.strip()}".strip() for name in names}
    return meanings
