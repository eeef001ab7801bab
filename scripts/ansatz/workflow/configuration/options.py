"""Options of what is registered, checked against the types that its source declares."""

import types
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError

from ansatz import registry
from ansatz.declarations import REQUIRED, Definition, Option
from ansatz.errors import UserError
from ansatz.workflow.configuration.mistakes import joined, mistake, under, unknown_key, written
from ansatz.workflow.configuration.training import TrainingSection
from ansatz.workflow.configuration.types import BOUNDED, STRICT, Either, OneOf

# As plain objects, from which types can be built at run time.
ANNOTATED: Any = Annotated
LITERAL: Any = Literal
UNION: Any = Union
NOUNS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    types.NoneType: "null",
    list: "a list",
    Sequence: "a list",
    Mapping: "a mapping of keys to values",
}


def options_of(definition: Definition, settings: Mapping[str, Any]) -> dict[str, Option]:
    """Return the options of something registered, with those of its kernel if the kernel is an option."""
    try:
        return registry.options_of(definition, settings)
    except (UserError, TypeError):
        return dict(definition.options)  # the check of the options refuses a kernel that does not exist


def checked(options: Mapping[str, Option], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of options, checked and converted to the options' types.

    Raises
    ------
    PydanticCustomError, ValidationError
        If there is no such option, or a value is not of its type.
    """
    values = {}
    for key, value in settings.items():
        if key not in options:
            raise mistake(unknown_key(key, options) if options else f"unknown key {key!r}; there are no options")
        try:
            values[key] = adapter(options[key]).validate_python(value)
        except ValidationError as error:
            raise under(key, error) from None
    return {key: values[key] for key in options if key in values}  # in the declared order, whatever the file's


def completed(options: Mapping[str, Option], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every option in plain types: its setting, which has been checked, or its default."""
    values = {name: settings[name] if name in settings else default(option) for name, option in options.items()}
    return {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in values.items()}


def check_required(name: str, options: Mapping[str, Option], keys: Collection[str]) -> None:
    """Refuse keys that lack an option without a default.

    Raises
    ------
    PydanticCustomError
        With the option's meaning; `name` is that of the machine or task that has the option.
    """
    for key, option in options.items():
        if option.default is REQUIRED and key not in keys:
            meaning = f"; {option.meaning.rstrip('.')}" if option.meaning else ""
            raise mistake(f"the key {key!r} is missing, for which {name} has no default{meaning}")


def default(option: Option) -> Any:
    """Return the default of an option in the type that a setting has: 10 is 10.0 where a number is meant."""
    try:
        return adapter(option).validate_python({} if option.name == "training" else plain(option.default))
    except ValidationError:
        return option.default


def adapter(option: Option) -> TypeAdapter[Any]:
    """Return what checks the values of an option."""
    if option.name == "training":  # the same key, with the same keys, everywhere
        return _adapter(TrainingSection.with_defaults(option.default or {}))
    return _adapter(value_type(option))


def value_type(option: Option) -> Any:
    """Return the type that an option has in the configuration."""
    if option.name == "kernel":
        return _strict(LITERAL[tuple(registry.definitions("kernel"))])
    return _strict(option.type)


def plain(value: Any) -> Any:
    """Return a value as YAML writes it: of a section, the keys that were set."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


@cache
def _adapter(type_: Any) -> TypeAdapter[Any]:
    is_section = isinstance(type_, type) and issubclass(type_, BaseModel)
    try:
        return TypeAdapter(type_) if is_section else TypeAdapter(type_, config=STRICT)
    except PydanticUserError:  # an annotation that is no type
        return TypeAdapter(Any)


def _strict(type_: Any) -> Any:
    """Return a type in which sequences are lists, as in YAML, and the choices of a `Literal` keep their types."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Literal:
        return ANNOTATED[type_, OneOf()]
    if (arguments[0] if origin is Annotated else type_) in (int, float):
        return ANNOTATED[type_, BOUNDED]
    if origin is Annotated:
        return ANNOTATED[_strict(arguments[0]), *arguments[1:]]
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return types.GenericAlias(list, (_strict(arguments[0]),))
    if origin in (Union, types.UnionType):
        if all(get_origin(argument) is Literal or argument is types.NoneType for argument in arguments):
            return _strict(LITERAL[tuple(value for argument in arguments for value in get_args(argument) or (None,))])
        union = UNION[tuple(_strict(argument) for argument in arguments)]
        is_optional = types.NoneType in arguments and len(arguments) == 2
        return union if is_optional else ANNOTATED[union, Either(joined(map(_noun, arguments), "or"))]
    return type_


def _noun(type_: Any) -> str:
    """Return in words which values a type has."""
    if get_origin(type_) is Annotated:
        return _noun(get_args(type_)[0])
    if get_origin(type_) is Literal:
        return joined(map(written, get_args(type_)), "or")
    return NOUNS.get(get_origin(type_) or type_, "another value")
