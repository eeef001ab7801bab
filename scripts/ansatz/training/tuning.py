"""Choose a learning rate from the outcomes of trainings that tried several."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import mean
from typing import Any

from ansatz.errors import UserError
from ansatz.files.atomic import read_json, write_json

Outcome = Mapping[str, Any]


def write_choice(path: str | os.PathLike[str], rate: float) -> None:
    """Write ``chosen.json``: the learning rate, with a fingerprint, and nothing else.

    As long as the rate is the same, so is the file, and no training depends on how the rate was chosen.
    """
    write_json(path, {"learning_rate": rate, "fingerprint": _fingerprint(rate)})


def read_choice(path: str | os.PathLike[str]) -> dict[str, float]:
    """Read what `write_choice` wrote, as parameters of a training.

    Raises
    ------
    UserError
        If the file cannot be read, or has changed since it was written.
    """
    choice = read_json(path, ("learning_rate", "fingerprint"))
    if choice["fingerprint"] != _fingerprint(choice["learning_rate"]):
        raise UserError(f"{path}: has changed since it was written; remove it and run again")
    return {"learning_rate": float(choice["learning_rate"])}


def _fingerprint(rate: float) -> str:
    return hashlib.sha256(repr(rate).encode()).hexdigest()


def best_rate(outcomes: Sequence[Outcome]) -> float:
    """Return the learning rate whose trainings reached the highest mean of their best validation accuracies.

    A rate at which a training diverged is worse than any at which none did. Of equally good rates, the smallest is
    chosen.

    Parameters
    ----------
    outcomes : sequence of mapping
        The ``summary.json`` of each training.
    """
    by_rate = sorted(outcomes, key=lambda outcome: outcome["learning_rate"])
    ranks = {rate: _rank(list(tried)) for rate, tried in groupby(by_rate, lambda outcome: outcome["learning_rate"])}
    return float(max(ranks, key=lambda rate: ranks[rate]))


def _rank(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Return what is larger for a better learning rate."""
    diverged = sum(outcome["status"] == "diverged" for outcome in outcomes)
    return -diverged, mean(outcome["best_validation_accuracy"] or 0 for outcome in outcomes)
