"""The section `network`, wherever it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, core_schema

from ansatz import registry
from ansatz.declarations import Option
from ansatz.errors import suggesting
from ansatz.workflow.configuration import mistakes, options
from ansatz.workflow.configuration.mistakes import have, mistake, shown, unknown_key
from ansatz.workflow.configuration.torchvision_names import network_names
from ansatz.workflow.configuration.types import DISTINCT, ImageSize, OneOf, Section, Text


@dataclass(frozen=True)
class Architecture:
    """Annotation of text that names a registered network, one of torchvision's, or, after ``timm/``, one of timm's."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of text, checked beforehand; names of timm's are checked when the network is built."""

        def check(value: Any) -> Any:
            registered = registry.definitions("network")
            if isinstance(value, str) and (value in registered or value.removeprefix(registry.TIMM) not in ("", value)):
                return value
            others = network_names()
            if not isinstance(value, str) or (others and value not in others):
                unknown = f"{shown(value)} is none of {', '.join(registered)}, nor a network of torchvision or timm/..."
                raise mistake(suggesting(unknown, value, [*registered, *others]))
            return value

        return core_schema.no_info_before_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the names that are registered, and a pattern of the others."""
        others = "|".join([f"{registry.TIMM}.+", *network_names()])
        return {
            "anyOf": [{"enum": list(registry.definitions("network"))}, {"type": "string", "pattern": f"^({others})$"}]
        }


class NetworkConfig(Section):
    """A network, with the options that it has of its own."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Architecture()] = Field(
        "vgg11",
        description="Name of the network; also one of torchvision's, or of timm's as in `timm/resnet50d`, without a "
        "width.",
    )
    width: Annotated[float, Field(gt=0, le=8)] = Field(1.0, description="Factor of every hidden layer's width.")
    in_channels: Annotated[Literal[1, 3], OneOf()] = Field(
        3, description="Channels of the images that it takes; grey images are repeated over them."
    )
    image_size: ImageSize = Field(
        224, description="Side of the images that it takes, in pixels; images are resized to it on the device."
    )

    layers: Annotated[list[Text], Field(min_length=1), DISTINCT] | None = Field(
        None,
        description="The linear maps that are initialized and whose feature matrices are looked at, as patterns of "
        "names: `[features.*, classifier.0]`. null is the convolutions; in a network with an `nn.MultiheadAttention`, "
        "or with at most one convolution, all linear maps but the last.",
    )

    @model_validator(mode="after")
    def _check_width(self) -> "NetworkConfig":
        if self.name in registry.definitions("network"):
            return self
        if self.width != 1:
            raise mistakes.at(("width",), f"{shown(self.width)}, but {self.name} has no width; leave it out")
        if self.in_channels != 3 and not self.name.startswith(registry.TIMM):
            raise mistakes.at(("in_channels",), f"{self.in_channels}, but {self.name} takes 3 channels")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The network's own options that are set."""
        takes_size = "image_size" in options_of(self.name)
        return (self.model_extra or {}) | ({"image_size": self.image_size} if takes_size else {})

    @property
    def builder(self) -> dict[str, Any]:
        """What the network is built from, besides its number of classes."""
        common = {"name": self.name, "width": self.width, "in_channels": self.in_channels}
        return common | ({"layers": self.layers} if self.layers else {}) | self.options

    def varied(self, key: str, value: Any, at: tuple[str | int, ...] = ()) -> "NetworkConfig":
        """Return the same network with another value of one option.

        Raises
        ------
        ValidationError
            If the network has no such option, or the value is not of its type; it concerns the keys `at`.
        """
        if key == "name":
            raise mistakes.at(at[:-1], "networks do not vary; give each its own name beside this one")
        try:
            return NetworkConfig.model_validate(self.model_dump() | {key: value})
        except ValidationError as error:
            details = error.errors(include_url=False)[0]
            is_option = key in NetworkConfig.model_fields or key in options_of(self.name)
            raise mistakes.at(at if is_option else at[:-1], mistakes.wording(details)) from None

    @classmethod
    def check_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Check the network's own options, which no other network need have."""
        networks = registry.definitions("network")
        name = value.get("name", cls.model_fields["name"].default)
        if not isinstance(name, str):
            return value
        own = {key: option for key, option in options_of(name).items() if key not in cls.model_fields}
        for key in value:
            if key not in cls.model_fields and key not in own:
                having = [other for other in networks if key in networks[other].options]
                if not having:
                    raise mistake(unknown_key(key, [*cls.model_fields, *own]))
                raise mistakes.at((key,), f"{name} has no {key}; {have(having)}")
        options.check_required(name, own, value)
        common = {key: value[key] for key in value if key in cls.model_fields}
        return common | options.checked(own, {key: value[key] for key in value if key not in common})


def options_of(name: str) -> Mapping[str, Option]:
    """Return the options of a network; none of one that is not ours."""
    networks = registry.definitions("network")
    return networks[name].options if name in networks else {}
