"""Checks of parameters against their annotations, such as ``Annotated[float, Gt(0)]`` and ``Literal["a", "b"]``.

Estimators call them in `fit`: by scikit-learn's rules, `clone` and `set_params` accept any value.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import numpy as np
from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MinLen

from ansatz.errors import UserError

BOUNDS: dict[type, tuple[Callable[[Any, Any], bool], str]] = {
    Gt: (lambda value, limit: value > limit, "above {}"),
    Ge: (lambda value, limit: value >= limit, "of at least {}"),
    Lt: (lambda value, limit: value < limit, "below {}"),
    Le: (lambda value, limit: value <= limit, "at most {}"),
    MinLen: (lambda value, length: len(value) >= length, "with at least {} item"),
}  # what a bound asks of a value, and how it is put into words
NOUNS = {int: "whole number", float: "number", str: "text", bool: "boolean"}


def check_parameters(values: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Check values against the types of the same names.

    Numbers, choices and lists are checked; values of other types are left to the function that uses them.

    Raises
    ------
    UserError
        In one line that names the parameter, its value and the values that are allowed.
    """
    for name, value in values.items():
        if not _fits(value, types[name]):
            raise UserError(f"{name}: {value!r} is not allowed; use {_allowed(types[name])}")


def _fits(value: Any, type_: Any) -> bool:
    """Return whether a value is of a type and within its bounds; NumPy's numbers are numbers too."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        bounds = _bounds(arguments[1:])
        return _fits(value, arguments[0]) and all(BOUNDS[type(bound)][0](value, limit) for bound, limit in bounds)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if origin in (Union, UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if origin is Sequence:
        return np.ndim(value) == 1 and all(_fits(each, arguments[0]) for each in value)
    if type_ is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if type_ is float:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, type_) if type_ in (bool, str, NoneType) else True


def _allowed(type_: Any, *, many: bool = False) -> str:
    """Return in words which values, or lists of values, a type allows."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        bounds = " and ".join(BOUNDS[type(bound)][1].format(limit) for bound, limit in _bounds(arguments[1:]))
        return f"{_allowed(arguments[0], many=many)} {bounds}"
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " or ".join(_allowed(argument) for argument in arguments)
    if origin is Mapping:
        return "a mapping of names to values"
    if origin is Sequence:
        return f"a list of {_allowed(arguments[0], many=True)}"
    noun = NOUNS.get(type_, str(None) if type_ is NoneType else "value")
    return f"{noun}s" if many else noun if type_ is NoneType else f"a {noun}"


def _bounds(annotations: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield bounds and their limits; those of an `Interval` one by one."""
    for annotation in annotations:
        for bound in annotation if isinstance(annotation, GroupedMetadata) else (annotation,):
            if type(bound) in BOUNDS:
                (limit,) = astuple(cast(Any, bound))
                yield bound, limit
