"""Options of registered things at the edges of their ranges."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
import pytest

from ansatz import registry

NEAR = 1e-3  # how far from an excluded edge a float is tried


def edge_cases(kind):
    """Return a parameter for pytest (name, option's name, value) for each edge of each option of this kind."""
    return [
        pytest.param(name, option.name, value, id=f"{name}-{option.name}-{value}")
        for name, definition in registry.definitions(kind).items()
        for option in definition.options.values()
        for value in edges(option.type)
    ]


def edges(type_):
    """Return the values of a type that are most likely to fail: the ends of its range, or all its choices."""
    origin = get_origin(type_)
    if origin is Literal:
        return list(get_args(type_))
    if origin in (Union, types.UnionType):
        return [value for member in get_args(type_) for value in edges(member)]
    if origin is Annotated:
        number, *bounds = get_args(type_)
        return list(dict.fromkeys(edge for bound in bounds for edge in _ends(number, bound)))
    return {bool: [False, True], type(None): [None]}.get(type_, [])


def _ends(number: type, bound: Any):
    step = 1 if number is int else NEAR
    if getattr(bound, "ge", None) is not None:
        yield number(bound.ge)
    if getattr(bound, "gt", None) is not None:
        yield number(bound.gt) + step
    if getattr(bound, "le", None) is not None:
        yield number(bound.le)
    if getattr(bound, "lt", None) is not None:
        yield number(bound.lt) - step
    if isinstance(bound, at.MultipleOf):
        yield number(bound.multiple_of)
