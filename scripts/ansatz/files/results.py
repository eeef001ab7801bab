"""The results of a training, ``metrics.csv`` and ``summary.json``, which are read as they were written."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansatz.errors import UserError
from ansatz.files.atomic import read_json, write_json
from ansatz.files.tables import METRICS, OUTCOME, RUN, read_csv, write_metrics

if TYPE_CHECKING:  # pandas takes long to import, and some jobs never need it
    import pandas as pd


def write_results(
    metrics: str | os.PathLike[str],
    summary: str | os.PathLike[str],
    rows: Sequence[Mapping[str, Any]],
    outcome: Mapping[str, Any],
) -> None:
    """Write ``metrics.csv``, one row per epoch, and ``summary.json``, with a fingerprint of both."""
    write_metrics(metrics, rows)
    write_json(summary, {**outcome, "fingerprint": _fingerprint(metrics, outcome)})


def read_results(
    metrics: str | os.PathLike[str], summary: str | os.PathLike[str], keys: Sequence[str] = (*RUN, *OUTCOME)
) -> "tuple[pd.DataFrame, dict[str, Any]]":
    """Read what `write_results` wrote.

    Parameters
    ----------
    metrics, summary : path
    keys : sequence of str
        What the outcome has to have.

    Raises
    ------
    UserError
        If a file cannot be read, is incomplete, or has changed.
    """
    table, outcome = read_csv(metrics, METRICS), read_json(summary, (*keys, "fingerprint"))
    content = {key: value for key, value in outcome.items() if key != "fingerprint"}
    if outcome["fingerprint"] != _fingerprint(metrics, content):
        name = Path(summary).name
        raise UserError(f"{metrics}: it or {name} has changed since they were written; remove it and run again")
    return table, outcome


def _fingerprint(metrics: str | os.PathLike[str], outcome: Mapping[str, Any]) -> str:
    return hashlib.sha256(Path(metrics).read_bytes() + json.dumps(outcome).encode()).hexdigest()
