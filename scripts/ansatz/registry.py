"""Decorators that register initializers, networks, datasets, kernels, machines, tasks, metrics and exporters.

Everything registered has a kind, a name, declared properties (the decorator's keywords) and options (its keyword-only
parameters, with their types, defaults and meanings). All of this is read from the source, without importing it: the
host on which Snakemake runs may have no PyTorch. `find` imports the one file that defines a name.

A user's file is searched like those of the library, once `use` has named it.
"""

import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from inspect import Parameter, signature
from pathlib import Path
from types import MappingProxyType, ModuleType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ansatz.declarations import LIBRARY, PACKAGES, SET_BY_THE_JOB, Definition, Option, definitions_in, registered_name
from ansatz.errors import UserError, suggesting

TIMM = "timm/"  # precedes the names of timm's networks
LSUV = "+lsuv"  # follows an initializer whose filters are to be scaled: nfm+lsuv, nfm@imagenet+lsuv

Defined = TypeVar("Defined", bound=Callable[..., Any])
Made = TypeVar("Made")


@dataclass(frozen=True)
class Registered:
    """What a decorator registered: the function or class, and the decorator's keywords."""

    kind: str
    name: str
    object: Any
    declared: Mapping[str, Any] = field(default_factory=dict)

    @property
    def types(self) -> dict[str, Any]:
        """The type of each option, as in `Definition.options`, but from the object, which need not come from a file."""
        owners = self.declared.get("options_of") or ()
        excluded = {*SET_BY_THE_JOB, *(self.declared.get("without") or ())}
        every = [types_of(each) for each in (self.object, *(owners if isinstance(owners, tuple) else (owners,)))]
        return {name: type_ for types in reversed(every) for name, type_ in types.items() if name not in excluded}

    def make(self, expected: type[Made], *arguments: Any, **options: Any) -> Made:
        """Call it, and refuse what is not of the type that everything of its kind returns.

        Raises
        ------
        UserError
            If it returns something else.
        """
        made = self.object(*arguments, **options)
        if not isinstance(made, expected):
            returned, right = type(made).__name__, expected.__name__
            raise UserError(f"{self.kind} {self.name}: returned {returned}; it must return an instance of {right}")
        return made


_REGISTERED: dict[tuple[str, str], Registered] = {}  # what the decorators of imported files have registered
_PLUGINS: list[Path] = []  # the user's files, as `use` has named them


# ------------------------------------------------------------------------------------------------- the decorators
def _register(kind: str, defined: Any, declared: Mapping[str, Any]) -> Any:
    name = declared.get("name") or registered_name(defined.__name__, is_class=isinstance(defined, type))
    _REGISTERED[kind, name] = Registered(kind, name, defined, dict(declared))
    return defined


def _decorator(kind: str, defined: Any, declared: Mapping[str, Any]) -> Any:
    """Serve both ``@kind`` and ``@kind(keyword=...)``."""
    if defined is not None:
        return _register(kind, defined, declared)
    return lambda defined: _register(kind, defined, declared)


def initializer(
    defined: Any = None,
    *,
    name: str | None = None,
    needs: Literal["nfm", "agop", "centred_nfm"] | None = None,
    scale: Literal["unit", "kaiming", "source"] | None = "unit",
    shuffled: bool = False,
    needs_position: bool = False,
    needs_groups: bool = False,
    needs_images: bool = False,
    needs_role: bool = False,
) -> Any:
    """Register an initializer: ``(weight, generator, *, options)`` fills one layer's weight in place.

    What it needs besides follows the generator, in the order of these keywords.

    Parameters
    ----------
    name : str, optional
        As for every kind: its name, where it is not the function's or, in lower case, the class's.
    needs : {"nfm", "agop", "centred_nfm"}, optional
        The feature matrix that it draws from: a `FeatureMatrix`, the covariance, in the configured scaling.
    scale : {"unit", "kaiming", "source"} or None
        What that covariance is scaled to: trace 1, the trace 2 of Kaiming-normal filters, or that of the source's own
        filters. None leaves it as it is: the rows of an NFM's factor are then the filters of the source.
    shuffled : bool
        Whether the matrix is that of another layer of the source, with patches of the same shape.
    needs_position : bool
        Whether it takes the layer's position, counted from 0.
    needs_groups : bool
        Whether it takes the number of groups among which the layer's channels and filters are divided.
    needs_images : bool
        Whether it takes the layer's `LayerInputs`: what the layers before it, which are initialized already, make of a
        batch of training images.
    needs_role : bool
        Whether it takes the layer's `ansatz.initializers.role.Role`: what it is in an attention; None elsewhere.
    """
    declared = {"name": name, "needs": needs, "scale": scale, "shuffled": shuffled}
    declared |= {"needs_position": needs_position, "needs_groups": needs_groups, "needs_images": needs_images}
    declared |= {"needs_role": needs_role}
    return _decorator("initializer", defined, declared)


def network(defined: Any = None, *, name: str | None = None) -> Any:
    """Register a network: ``(classes, in_channels=3, width=1.0, *, options) -> nn.Module``."""
    return _decorator("network", defined, {"name": name})


def dataset(
    address: Any = "",
    files: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    size: int | None = None,
    images: str = "",
    classes: int | None = None,
    pixels: str = "",
) -> Any:
    """Register a dataset: ``(folder) -> RawDataset`` reads it from the folder that holds its archives.

    The first line of its docstring is its name and, after a colon, what it shows.

    Parameters
    ----------
    address : str
        What the archives' addresses begin with.
    files : mapping, optional
        Name of an archive -> its SHA-256, or its MD5 where no SHA-256 is published.
    size : int, optional
        Where images vary in size: the side of the squares that they are resized to by default; the function is then
        ``(folder, size)``.
    images, classes, pixels
        For the table of datasets, as literals: ``images="60,000 + – + 10,000"`` (training, validation and test images;
        a dash for a part that does not exist), ``classes=10``, ``pixels="28, grey"`` (the side, and grey or colour).
    """
    defined, address = (address, "") if callable(address) else (None, address)  # the decorator without arguments
    declared = {"name": name, "address": address, "files": dict(files or {}), "size": size}
    return _decorator("dataset", defined, declared | {"images": images, "classes": classes, "pixels": pixels})


def metric(defined: Any = None, *, name: str | None = None, of: Literal["images", "confusion"] = "images") -> Any:
    """Register a metric of each epoch: ``(logits, labels) -> Tensor``, one value per image, which are averaged.

    Parameters
    ----------
    of : {"images", "confusion"}
        With "confusion", the metric is ``(confusion) -> Tensor``, one value for all images: of the numbers of images of
        each class (rows) that are predicted as each class (columns).
    """
    return _decorator("metric", defined, {"name": name, "of": of})


def machine(
    defined: Any = None,
    *,
    name: str | None = None,
    options_of: Any = (),
    without: list[str] | tuple[str, ...] = (),
    title: str = "",
    learns_features: bool = False,
    baseline: bool = False,
    starts_from: str | None = None,
) -> Any:
    """Register a machine: ``(**options) -> ImageClassifier``.

    A machine that has the option `kernel` has the options of the chosen kernel too, and passes them on.

    Parameters
    ----------
    options_of : class or tuple of classes
        Classes whose parameters are options too; defined in the same file, or imported into it from the library.
    without : sequence of str
        Parameters of these classes that are not options.
    title : str
        Its name in figures and tables; by default the registered name.
    learns_features : bool
        Whether it learns feature matrices, which then are drawn.
    baseline : bool
        Whether other machines are compared with it, where it was run.
    starts_from : str, optional
        The machine that it is with a single layer.
    """
    declared = {"name": name, "options_of": options_of, "without": tuple(without), "learns_features": learns_features}
    declared |= {"title": title, "baseline": baseline, "starts_from": starts_from}
    return _decorator("machine", defined, declared)


def kernel(
    defined: Any = None,
    *,
    name: str | None = None,
    options_of: Any = (),
    without: list[str] | tuple[str, ...] = (),
    homogeneous: bool = False,
) -> Any:
    """Register a kernel of patches: a dataclass that is a `Kernel`, or a function ``(*, options) -> Kernel``.

    Parameters
    ----------
    options_of, without
        As for `machine`.
    homogeneous : bool
        Whether ``k(c x, z) = c k(x, z)`` for c > 0, so that the trace of a feature matrix changes nothing.
    """
    declared = {"name": name, "options_of": options_of, "without": tuple(without), "homogeneous": homogeneous}
    return _decorator("kernel", defined, declared)


def task(defined: Any = None, *, name: str | None = None, of_dataset: bool = True) -> Any:
    """Register a task: ``(data, train, test, seed, *, options) -> Task``.

    Parameters
    ----------
    of_dataset : bool
        Whether it consists of a dataset's images; otherwise it is called with None instead of the dataset.
    """
    return _decorator("task", defined, {"name": name, "of_dataset": of_dataset})


def exporter(defined: Any = None, *, name: str | None = None, view: str = "") -> Any:
    """Register an exporter: ``(study, folder)`` writes an `ansatz.export.study.Study` into an empty folder.

    Parameters
    ----------
    view : str
        The command that shows what was written, with ``{folder}`` where that is.
    """
    return _decorator("exporter", defined, {"name": name, "view": view})


# ------------------------------------------------------------------------------------------------- finding
def blamed(error: BaseException) -> str | None:
    """Return where a file of the user's raised an error, or which of its names was called wrongly; None if neither."""
    text = f"{type(error).__name__}: {error}"
    places = [place for place in traceback.extract_tb(error.__traceback__) if Path(place.filename) in _PLUGINS]
    if places:
        return f"{places[-1].filename}, line {places[-1].lineno}, in {places[-1].name}: {text}"
    for registered in _REGISTERED.values() if isinstance(error, TypeError) else ():
        called = re.escape(getattr(registered.object, "__qualname__", ""))
        file = _definitions(registered.kind, tuple(_PLUGINS))[registered.name].file
        if file in _PLUGINS and re.match(rf"{called}(\.__init__)?\(\) ", str(error)):
            return f"{file}: {registered.kind} {registered.name}: {text}; see scripts/README.md for how it is called"
    return None


def use(files: Iterable[str | os.PathLike[str]]) -> None:
    """Search these files too, from now on; files of the library are searched anyway."""
    for file in (Path(path).resolve() for path in files):
        if LIBRARY not in file.parents and file not in _PLUGINS:
            _PLUGINS.append(file)
    _definitions.cache_clear()  # a plugin may have been edited


def definitions(kind: str) -> Mapping[str, Definition]:
    """Return everything registered of a kind, by name, from its source alone.

    Raises
    ------
    UserError
        If a file cannot be parsed, or two files define the same name.
    """
    return _definitions(kind, tuple(_PLUGINS))


@cache
def _definitions(kind: str, plugins: tuple[Path, ...]) -> Mapping[str, Definition]:
    by_name: dict[str, Definition] = {}
    for file in (*sorted((LIBRARY / PACKAGES[kind]).glob("*.py")), *plugins):
        for definition in definitions_in(file, file.stat().st_mtime_ns):
            if definition.kind != kind:
                continue
            _check_keywords(definition)
            if earlier := by_name.get(definition.name):
                raise UserError(f"{kind} {definition.name}: defined in {earlier.file} and in {definition.file}")
            by_name[definition.name] = definition
    return MappingProxyType(by_name)


def _check_keywords(definition: Definition) -> None:
    """Refuse keywords that the decorator does not have, and values that are not of their types."""
    what = f"{definition.file}: {definition.kind} {definition.name}"
    hints = _keywords(definition.kind)
    for key, value in definition.declared.items():
        if key not in hints:
            unknown = suggesting(f"{what}: @{definition.kind} has no keyword {key!r}", key, hints)
            raise UserError(f"{unknown}; it has {', '.join(hints)}")
        if not any(_fits(value, each) for each in hints[key]):
            allowed = " or ".join(str(getattr(each, "__name__", each)) for each in hints[key])
            raise UserError(f"{what}: {key}={value!r} does not fit; it takes {allowed}")


@cache
def _keywords(kind: str) -> dict[str, list[Any]]:
    """Return the keywords of a kind's decorator, each with the types and the values that it takes."""
    hints = get_type_hints(globals()[kind])
    return {name: _alternatives(hints[name]) for name in signature(globals()[kind]).parameters if name != "defined"}


def _alternatives(type_: Any) -> list[Any]:
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Literal:
        return list(arguments)
    if origin in (Union, UnionType):
        return [each for argument in arguments for each in _alternatives(argument)]
    return [object if type_ is Any else None if type_ is NoneType else origin or type_]


def _fits(value: Any, alternative: Any) -> bool:
    return isinstance(value, alternative) if isinstance(alternative, type) else value == alternative


def define(kind: str, name: str) -> Definition:
    """Return the definition of a name.

    Raises
    ------
    UserError
        If nothing of that kind has the name.
    """
    by_name = definitions(kind)
    if name not in by_name:
        raise UserError(suggesting(f"{kind}: {name!r} is none of {', '.join(by_name)}", name, by_name))
    return by_name[name]


def find(kind: str, name: str) -> Registered:
    """Return what is registered under a name, after importing its file.

    Raises
    ------
    UserError
        If nothing of that kind has the name, or its file cannot be imported.
    """
    if (kind, name) not in _REGISTERED:
        import_file(define(kind, name).file)
    return _REGISTERED[kind, name]


def kernel_of(definition: Definition, chosen: Mapping[str, Any] = MappingProxyType({})) -> Definition | None:
    """Return the definition of the kernel that a machine is to use; None if the machine has no option `kernel`.

    Parameters
    ----------
    definition : Definition
    chosen : mapping of str to Any
        The options that are not left at their defaults.

    Raises
    ------
    UserError
        If no kernel has the chosen name.
    """
    if "kernel" not in definition.options:
        return None
    return define("kernel", chosen.get("kernel", definition.options["kernel"].default))


def options_of(definition: Definition, chosen: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Option]:
    """Return the options of a definition; a machine that has the option `kernel` has those of the chosen kernel too.

    Parameters and errors are those of `kernel_of`.
    """
    kernel = kernel_of(definition, chosen)
    return {**(kernel.options if kernel else {}), **definition.options}


def types_of(defined: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a function's or class's own options, as the annotations say."""
    function = defined.__init__ if isinstance(defined, type) else defined  # type: ignore[misc]
    hints = get_type_hints(function, include_extras=True)
    kinds = {Parameter.KEYWORD_ONLY} | ({Parameter.POSITIONAL_OR_KEYWORD} if is_dataclass(defined) else set())
    parameters = signature(function).parameters.values()
    return {each.name: hints.get(each.name, Any) for each in parameters if each.kind in kinds and each.name != "self"}


def import_file(file: Path) -> ModuleType:
    """Import a file of the library by its module name, or a user's file by its path."""
    if LIBRARY in file.parents:
        return importlib.import_module(".".join(file.relative_to(LIBRARY.parent).with_suffix("").parts))
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # at the end: modules beside a plugin shadow nothing
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise UserError(f"plugins: {file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's file does
        raise UserError(f"plugins: {file} cannot be imported: {type(error).__name__}: {error}") from error
    sys.modules.setdefault(file.stem, module)  # so that its classes can be pickled
    return module
