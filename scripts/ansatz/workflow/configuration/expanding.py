"""Initializers that draw from every source, such as ``nfm@*``: replaced by one for each source, before all else."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ansatz.workflow.configuration.choices import EVERY, Choice, Initializer
from ansatz.workflow.configuration.mistakes import at, under
from ansatz.workflow.configuration.sources import Source
from ansatz.workflow.configuration.types import STRICT

KEY = "initializers"
WRITTEN = TypeAdapter(list[Initializer], config=STRICT)
MATRICES = {
    "nfm": "an NFM",
    "agop": "an AGOP, which takes a dataset",
    "centred_nfm": "known initial weights, as the kind train has",
}  # what an initializer needs -> its words


def expanded(initializers: Any, sources: Mapping[str, Source]) -> list[Any]:
    """Return a list of initializers in which those of every source are replaced by one for each source.

    Parameters
    ----------
    initializers : Any
        What the configuration holds.
    sources : mapping of str to Source
        All sources, of which those are skipped that lack the feature matrix that the initializer draws from.

    Returns
    -------
    list
        `Choice` objects, and for those replaced, what a configuration would hold, which is yet to be checked.

    Raises
    ------
    ValidationError
        If an initializer is wrong, or no source has what it draws from.
    """
    try:
        choices = WRITTEN.validate_python(initializers)
    except ValidationError as error:
        raise under(KEY, error) from None
    return [one for position, choice in enumerate(choices) for one in _of_every_source(position, choice, sources)]


def _of_every_source(position: int, choice: Choice, sources: Mapping[str, Source]) -> list[Any]:
    if choice.source != EVERY or not choice.needs:
        return [choice]
    names = [name for name, source in sources.items() if choice.needs in source.matrices]
    if not names:
        raise at((KEY, position), f"{choice.key!r} has nothing to draw from; no source has {MATRICES[choice.needs]}")
    return [choice.drawing_from(name).model_dump() for name in names]
