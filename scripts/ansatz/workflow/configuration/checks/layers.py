"""Names of layers and sizes of images, which building the network shows."""

from collections.abc import Iterator
from importlib.util import find_spec

from ansatz.errors import UserError
from ansatz.workflow.configuration.mistakes import no_such
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.networks import NetworkConfig

USUAL = 32  # px that all networks of the library take


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
    """Yield images that are too small for a network; imports torch if images are small and torch is installed."""
    for key, network in _networks(configuration):
        if network.image_size < USUAL and find_spec("torch"):
            from ansatz.networks.build import smallest_image

            try:
                smallest = smallest_image(**network.builder)
            except UserError as error:  # such as a depth that the images do not allow
                yield _located(key, error)
                continue
            if smallest and network.image_size < smallest:
                size = f"{key}.image_size: {network.image_size}"
                yield f"{size} is too small for {network.name}; it must be at least {smallest}"


def _located(key: str, error: UserError) -> str:
    """Return the error of a network with the key that it concerns: that of the network, or of one of its options."""
    text = str(error)
    if text.startswith("network."):
        return f"{key.removesuffix('network')}{text}"
    return f"{key}.{text}" if text.startswith("layers: ") else f"{key}: {text}"


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
