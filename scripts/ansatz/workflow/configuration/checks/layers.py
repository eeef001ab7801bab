"""Names of layers and sizes of images, which building the network shows."""

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain

from ansatz.errors import UserError
from ansatz.workflow.configuration.mistakes import no_such
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.networks import NetworkConfig, options_of

USUAL = 32  # px that all networks of the library take
OF_ONE_SIZE = "vit_"  # begins the names of torchvision's networks that take images of one size alone


def wrong_layers(configuration: Configuration) -> Iterator[str]:
    """Yield layers that a network does not have; imports torch if layers are named and torch is installed."""
    for key, network in _networks(configuration):
        if network.layers and find_spec("torch"):
            from ansatz.networks.build import layer_names

            try:
                layer_names(**network.builder)
            except UserError as error:
                yield _located(key, error)
    for key, network, layers in _layers(configuration):
        if layers and find_spec("torch"):
            from ansatz.networks.build import layer_names

            try:
                available = layer_names(**network.builder)
            except UserError as error:  # such as a depth that the images do not allow
                yield f"{key.rpartition('layers')[0]}{error}"
                continue
            for layer in layers:
                if layer not in available:
                    yield f"{key}: {no_such(f'layer of {network.name}', layer, available)}"


def _layers(configuration: Configuration) -> Iterator[tuple[str, NetworkConfig, list[str]]]:
    study = configuration.initialization
    if study:
        for name, layers in study.layers.items():
            yield f"initialization.layers.{name}", study.network, list(layers)
            source = configuration.sources.get(name)
            if source and (source.initialized or source.checkpoint):
                network = source.settings.network or study.network
                yield f"initialization.layers.{name}", network, list(layers.values())
    for name, experiment in configuration.evolution.items():
        yield f"evolution.{name}.layers", experiment.network, experiment.layers or []


def wrong_sizes(configuration: Configuration) -> Iterator[str]:
    """Yield images that a network does not take; imports torch if that is possible and torch is installed."""
    for key, network in chain(_networks(configuration), _varied(configuration)):
        of_one_size = network.name.startswith(OF_ONE_SIZE) or "image_size" in options_of(network.name)
        if (network.image_size < USUAL or of_one_size) and find_spec("torch"):
            from ansatz.networks.build import only_image, smallest_image

            try:
                only = only_image(**network.builder) if of_one_size else None
                smallest = smallest_image(**network.builder) if network.image_size < USUAL else None
            except UserError as error:  # such as a depth that the images do not allow
                yield _located(key, error)
                continue
            if only and network.image_size != only:
                yield f"{key}.image_size: {network.image_size} does not fit {network.name}, which takes {only}"
            elif smallest and network.image_size < smallest:
                size = f"{key}.image_size: {network.image_size}"
                yield f"{size} is too small for {network.name}; it must be at least {smallest}"


def _located(key: str, error: UserError) -> str:
    """Return the error of a network with the key that it concerns: that of the network, or of one of its options."""
    text = str(error)
    if text.startswith("network.") and key.endswith("network"):
        return f"{key.removesuffix('network')}{text}"
    return f"{key}.{text}" if text.startswith("layers: ") else f"{key}: {text}"


def _varied(configuration: Configuration) -> Iterator[tuple[str, NetworkConfig]]:
    """Yield each network of ``ansatz.trained`` with each of the options that vary, one at a time."""
    for name, experiment in (configuration.ansatz.trained if configuration.ansatz else {}).items():
        for option, values in experiment.vary.items():
            for position, value in enumerate(values):
                key = f"ansatz.trained.{name}.vary.{option}.{position}"
                yield key, experiment.network.varied(option, value)


def _networks(configuration: Configuration) -> Iterator[tuple[str, NetworkConfig]]:
    for name, source in configuration.sources.items():
        if (source.initialized or source.checkpoint) and source.settings.network:
            yield f"sources.{name}.{source.kind}.network", source.settings.network
    pretrained = configuration.ansatz.pretrained if configuration.ansatz else None
    for name, checkpoint in pretrained.checkpoints.items() if pretrained else ():
        yield f"ansatz.pretrained.checkpoints.{name}.network", checkpoint.network
    if configuration.initialization:
        yield "initialization.network", configuration.initialization.network
    for key, experiment in configuration.experiments():
        if not key.startswith("kernels."):
            yield f"{key}.network", experiment.network
