"""Names of layers, which building the network shows."""

from collections.abc import Iterator
from importlib.util import find_spec

from ansatz.errors import UserError
from ansatz.workflow.configuration.mistakes import no_such
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.networks import NetworkConfig


def wrong_layers(configuration: Configuration) -> Iterator[str]:
    """Yield layers that a network does not have; imports torch if layers are named and torch is installed."""
    for key, network, layers in _layers(configuration):
        if layers and find_spec("torch"):
            from ansatz.networks.build import layer_names

            try:
                available = layer_names(**network.builder)
            except UserError as error:  # such as a depth that the images do not allow
                yield f"{key.removesuffix('layers')}{error}"
                continue
            for layer in layers:
                if layer not in available:
                    yield f"{key}: {no_such(f'layer of {network.name}', layer, available)}"


def _layers(configuration: Configuration) -> Iterator[tuple[str, NetworkConfig, list[str]]]:
    study = configuration.initialization
    if study:
        yield "initialization.layers", study.network, list(study.layers)
    for name, experiment in configuration.evolution.items():
        yield f"evolution.{name}.layers", experiment.network, experiment.layers or []
