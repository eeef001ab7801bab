"""Choices: something registered, by its name or by a mapping of its name to options."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_serializer,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ansatz import registry
from ansatz.workflow.configuration import options
from ansatz.workflow.configuration.mistakes import at, mistake, none_of, shown, under
from ansatz.workflow.configuration.types import STRICT

EXAMPLES = {"initializer": "{normal: {std: 0.02}}", "machine": "{convrfm: {iterations: 3}}"}
EVERY = "*"  # stands for every source: nfm@*
LONGEST = 200  # characters of a label; file systems take 255 bytes, and files add to it
UNFIT = re.compile(r"[^A-Za-z0-9_.,+-]+")  # characters that are not used in paths


class Choice(BaseModel):
    """Something registered, chosen by its name, or by a mapping of its name to options.

    Attributes
    ----------
    kind, name : str
    source : str or None
        The source that an initializer draws from, where it is named: ``nfm@imagenet``. `EVERY` is one for each source,
        which `expanding` replaces.
    unit_variance : bool
        Whether an initializer's filters are scaled to outputs of variance 1: ``nfm+lsuv``.
    options : dict of str to Any
        The options that the configuration sets.
    """

    model_config = STRICT

    kind: str
    name: str
    source: str | None = None
    unit_variance: bool = False
    options: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """How the configuration writes the name: with the source and the scale, where they are named."""
        return self.name + (f"@{self.source}" if self.source else "") + (registry.LSUV if self.unit_variance else "")

    @property
    def label(self) -> str:
        """How paths, tables and figures write it: the name, then ``_key-value`` for each option that is set."""
        return "_".join([self.key, *(f"{key}-{level(value)}" for key, value in self.options.items())])

    @property
    def definition(self) -> registry.Definition:
        """What the registry says of it."""
        return registry.define(self.kind, self.name)

    @property
    def needs(self) -> str | None:
        """The feature matrix that an initializer draws from."""
        return self.definition.declared.get("needs")

    @property
    def needs_images(self) -> bool:
        """Whether an initializer reads training images."""
        return self.unit_variance or bool(self.definition.declared.get("needs_images"))

    def drawing_from(self, source: str | None) -> "Choice":
        """Return the same initializer with another source, or with none that is named."""
        return self.model_copy(update={"source": source})

    def __str__(self) -> str:
        return self.label

    @model_serializer
    def _as_configured(self) -> Any:
        settings = {key: options.plain(value) for key, value in self.options.items()}
        return {self.key: settings} if settings else self.key


def level(value: Any) -> str:
    """Return a value as it is written in paths: a number as the shortest text that reads back as that number."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping):
        return "-".join(f"{level(key)}-{level(part)}" for key, part in value.items())
    if isinstance(value, list):
        return "-".join(map(level, value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return UNFIT.sub("-", value) if isinstance(value, str) else shown(value)


@dataclass(frozen=True)
class Chosen:
    """Annotation of a `Choice`: its kind."""

    kind: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that asks the registry."""
        return core_schema.no_info_plain_validator_function(self.choose)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return what `documentation` puts the names and options into."""
        return {"choice": self.kind}

    def choose(self, value: Any) -> Choice:
        """Return the choice that a name, or a mapping of a name to options, stands for."""
        if isinstance(value, Choice):
            return value
        if not isinstance(value, str | Mapping):
            raise mistake(f"{shown(value)} is neither a name nor a mapping of one name to its options")
        if isinstance(value, Mapping) and len(value) != 1:
            raise mistake(f"{shown(value)} does not fit; give one name with its options: {EXAMPLES[self.kind]}")
        (key, settings), *_ = value.items() if isinstance(value, Mapping) else [(value, {})]
        written, plus, scale = key.partition("+") if self.kind == "initializer" else (key, "", "")
        name, at_sign, source = written.partition("@") if self.kind == "initializer" else (key, "", "")
        names = registry.definitions(self.kind)
        if name not in names:
            raise mistake(none_of(name, names))
        if at_sign and not names[name].declared.get("needs"):
            raise mistake(f"{key!r} does not fit; {name} draws from no feature matrices, and so from no source")
        if at_sign and not source:
            raise mistake(f"{key!r} does not fit; it takes the name of a source after @")
        if plus and plus + scale != registry.LSUV:
            raise mistake(f"{key!r} does not fit; only lsuv follows +, and nothing follows it: nfm@imagenet+lsuv")
        if plus and plus + name == registry.LSUV:
            raise mistake(f"{key!r} does not fit; {name} gives outputs variance 1 already")
        settings = {} if settings is None else settings
        if not isinstance(settings, Mapping):
            raise at((key,), f"{shown(settings)} is not a mapping of options to values")
        try:
            available = options.options_of(names[name], settings)
            checked = options.checked(available, settings)
            if self.kind == "initializer":  # an experiment gives options to its machines too
                options.check_required(name, available, settings)
        except (PydanticCustomError, ValidationError) as error:
            raise under(key, error) from None
        choice = Choice(kind=self.kind, name=name, source=source or None, unit_variance=bool(plus), options=checked)
        if len(choice.label) > LONGEST:
            raise at((key,), f"the options are too long for a path; {choice.label[:40]}... has more than {LONGEST}")
        return choice


Initializer = Annotated[Choice, Chosen("initializer")]
Machine = Annotated[Choice, Chosen("machine")]
