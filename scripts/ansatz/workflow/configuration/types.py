"""Types for the models of the configuration, stricter than those of YAML and pydantic."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ansatz import registry
from ansatz.workflow.configuration.mistakes import at, mistake, none_of, shown, unknown_key, wording, written

# 2.0 is not a whole number; true, nan and infinity are not numbers.
STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
Item = TypeVar("Item")
LARGEST = 10_000_000  # more images, steps or anything else is a slip, and would not fit into memory or overflow


class Section(BaseModel):
    """A mapping of keys to values."""

    model_config = STRICT

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise mistake(f"{shown(value)} is not a mapping of keys to values")
        for name, field in cls.model_fields.items():
            if field.is_required() and name not in value:
                meaning = (field.description or "it is required").rstrip(".")
                raise mistake(f"the key {name!r} is missing; {meaning[:1].lower()}{meaning[1:]}")
        return cls.check_keys(dict(value))

    @classmethod
    def check_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse unknown keys; return the others."""
        for key in value:
            if key not in cls.model_fields:
                raise mistake(unknown_key(key, cls.model_fields))
        return value


class Sparse(Section):
    """A section in which null means that a key is absent; such keys are not written."""

    @model_serializer(mode="wrap")
    def _without_null(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in inner(self).items() if value is not None}


class OneOf:
    """Annotation of a `Literal`: keeps 1 and true apart; its message lists the values and suggests the nearest."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return pydantic's schema of the literal, checked beforehand."""
        allowed = get_args(source)

        def check(value: Any) -> Any:
            if not any(type(value) is type(other) and value == other for other in allowed):
                raise mistake(none_of(value, allowed))
            return value

        return core_schema.no_info_before_validator_function(check, handler(source))


@dataclass(frozen=True)
class Named:
    """Annotation of text that is the name of something registered of a kind."""

    kind: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of text, checked beforehand."""

        def check(value: Any) -> Any:
            names = registry.definitions(self.kind)
            if not isinstance(value, str) or value not in names:
                raise mistake(none_of(value, names))
            return value

        return core_schema.no_info_before_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the names."""
        return {"enum": names} if (names := list(registry.definitions(self.kind))) else {"type": "string"}


@dataclass(frozen=True)
class Fits:
    """Annotation of text that matches a pattern; the message gives the pattern's meaning."""

    pattern: str
    meaning: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of text, checked afterwards."""

        def check(value: str) -> str:
            if not re.fullmatch(self.pattern, value):
                raise mistake(f"{value!r} does not fit; {self.meaning}")
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema of text with the pattern."""
        return {"type": "string", "pattern": f"^({self.pattern})$"}


@dataclass(frozen=True)
class Either:
    """Annotation of a union: gives one message for a value of none of its types."""

    meaning: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the union, with another message."""

        def check(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
            try:
                return inner(value)
            except ValidationError as error:
                inside = _inside(error) if isinstance(value, Mapping) else None
                raise inside or mistake(f"{shown(value)} is not {self.meaning}") from None

        return core_schema.no_info_wrap_validator_function(check, handler(source))


def _inside(error: ValidationError) -> ValidationError | PydanticCustomError | None:
    """Return the mistake in a mapping that is meant to be of one type of a union, if it is in there."""
    for details in error.errors(include_url=False):
        _type, *keys = details["loc"]
        if keys:
            return at(keys, wording(details))
        if details["type"] == "mistake":
            return mistake(wording(details))
    return None


def _distinct(values: list[Any]) -> list[Any]:
    keys = [str(value) if isinstance(value, BaseModel) else value for value in values]
    for position, key in enumerate(keys):
        if key in keys[:position]:
            raise mistake(f"{written(key)} is listed twice")
    return values


def _bounded(number: float) -> float:
    if number > LARGEST:
        raise mistake(f"{shown(number)} is too large; it must be at most {LARGEST}")
    return number


DISTINCT = AfterValidator(_distinct)
BOUNDED = AfterValidator(_bounded)
UNIQUE: Any = {"uniqueItems": True}
Values = Annotated[list[Item], Field(min_length=1, json_schema_extra=UNIQUE), DISTINCT]
Name = Annotated[
    str, Fits("[A-Za-z0-9][A-Za-z0-9_-]{0,99}", "a name has letters, digits, - and _, and at most 100 of them")
]
Text = Annotated[str, Field(min_length=1)]
Checksum = Annotated[str, Fits("([0-9a-fA-F]{64})?", "a SHA-256 has 64 hexadecimal digits")]
Weights = Annotated[
    str, Fits(r"[A-Za-z0-9_]+_Weights\.[A-Z0-9_]+", "torchvision's names are like VGG11_Weights.IMAGENET1K_V1")
]
Seed = Annotated[int, Field(ge=0, le=4294967295)]
Seeds = Values[Seed]
Positive = Annotated[float, Field(gt=0), BOUNDED]
NotNegative = Annotated[float, Field(ge=0), BOUNDED]
Count = Annotated[int, Field(ge=1), BOUNDED]
Index = Annotated[int, Field(ge=0), BOUNDED]
ImageSize = Annotated[int, Field(ge=8, le=1024)]
