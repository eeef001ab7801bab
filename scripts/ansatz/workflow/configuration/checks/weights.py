"""Names of torchvision's weights."""

from collections.abc import Iterator
from pathlib import Path

from ansatz.errors import near
from ansatz.workflow.configuration.model import Configuration
from ansatz.workflow.configuration.torchvision_names import members, weights_classes


def wrong_weights(configuration: Configuration) -> Iterator[str]:
    """Yield the names of weights that torchvision does not have."""
    for name, source in configuration.sources.items():
        if source.torchvision:
            for text in _wrong(source.torchvision.weights):
                yield f"sources.{name}.torchvision.weights: {text}"
    pretrained = configuration.ansatz and configuration.ansatz.pretrained
    for position, weights in enumerate(pretrained.weights if pretrained else ()):
        for text in _wrong(weights):
            yield f"ansatz.pretrained.weights.{position}: {text}"


def _wrong(name: str) -> Iterator[str]:
    files = weights_classes()
    owner, _, member = name.partition(".")
    if files and owner not in files:
        yield " ".join(filter(None, [f"{name!r} is not among torchvision's weights;", _near(name, files)])).rstrip(";")
    elif files and member not in (of_owner := members(files[owner], owner)):
        allowed = ", ".join(f"{owner}.{other}" for other in of_owner)
        yield f"{name!r} is not among torchvision's weights; it has {allowed}"


def _near(name: str, files: dict[str, Path]) -> str:
    owner = name.partition(".")[0]
    owners = [other for other in files if near(owner, [other])]
    return near(name, [f"{other}.{member}" for other in owners for member in members(files[other], other)])
