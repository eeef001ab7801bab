"""The section `network`, wherever it is."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from ansatz import registry
from ansatz.workflow.configuration import mistakes, options
from ansatz.workflow.configuration.mistakes import have, mistake, unknown_key
from ansatz.workflow.configuration.types import ImageSize, Named, OneOf, Section


class NetworkConfig(Section):
    """A network, with the options that it has of its own."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Named("network")] = Field("vgg11", description="Name of the network.")
    width: Annotated[float, Field(gt=0, le=8)] = Field(1.0, description="Factor of every hidden layer's width.")
    in_channels: Annotated[Literal[1, 3], OneOf()] = Field(
        3, description="Channels of the images that it takes; grey images are repeated over them."
    )
    image_size: ImageSize = Field(
        224, description="Side of the images that it takes, in pixels; images are resized to it on the device."
    )

    @property
    def options(self) -> dict[str, Any]:
        """The network's own options that are set."""
        takes_size = "image_size" in registry.define("network", self.name).options
        return (self.model_extra or {}) | ({"image_size": self.image_size} if takes_size else {})

    @property
    def builder(self) -> dict[str, Any]:
        """What the network is built from, besides its number of classes."""
        return {"name": self.name, "width": self.width, "in_channels": self.in_channels} | self.options

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
            is_option = key in NetworkConfig.model_fields or key in registry.define("network", self.name).options
            raise mistakes.at(at if is_option else at[:-1], mistakes.wording(details)) from None

    @classmethod
    def check_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Check the network's own options, which no other network need have."""
        networks = registry.definitions("network")
        name = value.get("name", cls.model_fields["name"].default)
        if not isinstance(name, str) or name not in networks:
            return value
        own = {key: option for key, option in networks[name].options.items() if key not in cls.model_fields}
        for key in value:
            if key not in cls.model_fields and key not in own:
                having = [other for other in networks if key in networks[other].options]
                if not having:
                    raise mistake(unknown_key(key, [*cls.model_fields, *own]))
                raise mistakes.at((key,), f"{name} has no {key}; {have(having)}")
        options.check_required(name, own, value)
        common = {key: value[key] for key in value if key in cls.model_fields}
        return common | options.checked(own, {key: value[key] for key in value if key not in common})
