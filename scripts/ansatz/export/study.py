"""The trainings below a folder of results, as every exporter gets them."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansatz.errors import UserError
from ansatz.files.results import read_results
from ansatz.files.runs import images_seen
from ansatz.files.tables import OUTCOME

NO_METRICS = ("epoch", "status")  # columns of metrics.csv
NO_PARAMETERS = ("run", "title", "compiled", "checkpoint")  # names of the run, and places of files

Value = str | int | float | bool


@dataclass(frozen=True)
class Epoch:
    """An epoch of a run.

    Attributes
    ----------
    number : int
        From 1.
    ended : float
        When it ended, in seconds since 1970.
    metrics : mapping of str to float
        Those that are finite, as in ``tidy.csv``, with the ``images_per_second`` and ``seconds`` of ``metrics.csv``.
    """

    number: int
    ended: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """A training that has ended.

    Attributes
    ----------
    place : str
        Its folder below that of the study, such as ``initialization/runs/digits/nfm/seed0``.
    started : float
        When it started, in seconds since 1970, had it not been interrupted.
    epochs : sequence of Epoch
    parameters : mapping of str to Value
        What identifies it, such as its seed, and its parameters, such as ``training.learning_rate``.
    outcome : mapping of str to float
        The numbers of ``summary.json``, such as ``outcome/test_accuracy``.
    tags : mapping of str to str
        The rest of ``summary.json``: the status, the device and the provenance, such as ``versions.torch``.
    """

    place: str
    started: float
    epochs: Sequence[Epoch]
    parameters: Mapping[str, Value]
    outcome: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def group(self) -> str:
        """What it shares with the runs that differ from it in their seed alone."""
        return self.place.rpartition("/")[0]

    @property
    def ended(self) -> float:
        """When it ended, in seconds since 1970."""
        return self.epochs[-1].ended

    @property
    def diverged(self) -> bool:
        """Whether a loss was not finite."""
        return self.tags["status"] == "diverged"


@dataclass(frozen=True)
class Study:
    """The trainings below a folder; the `name` is that of the folder."""

    name: str
    runs: Sequence[Run]


def read_study(folder: str | os.PathLike[str]) -> Study:
    """Read every training that has ended below a folder, whatever section it belongs to.

    Raises
    ------
    UserError
        If there is none, or one has changed since it was written.
    """
    folder = Path(folder).resolve()
    summaries = sorted(folder.rglob("summary.json"))
    if not summaries:
        wrong = "holds no training that has ended (a summary.json)" if folder.is_dir() else "is no folder"
        raise UserError(f"{folder}: {wrong}; name a folder of results, such as results/digits")
    return Study(folder.name, [_read_run(folder, summary) for summary in summaries])


def _read_run(folder: Path, summary: Path) -> Run:
    table, outcome = read_results(summary.with_name("metrics.csv"), summary, (*OUTCOME, "parameters"))
    table["images"] = images_seen(table)
    parameters = outcome.pop("parameters")
    identity = parameters.get("run", {})
    others = {name: value for name, value in flattened(outcome).items() if name not in identity}
    numbers = {name: float(value) for name, value in others.items() if not isinstance(value, str)}
    started = summary.stat().st_mtime - float(table.seconds.sum())
    ends = started + table.seconds.cumsum()
    return Run(
        place=summary.parent.relative_to(folder).as_posix(),
        started=started,
        epochs=[
            Epoch(int(row["epoch"]), float(end), _metrics(row))
            for row, end in zip(table.to_dict("records"), ends, strict=True)
        ],
        parameters=identity | flattened({key: value for key, value in parameters.items() if key not in NO_PARAMETERS}),
        outcome={f"outcome/{name}": value for name, value in numbers.items()},
        tags={name: value for name, value in others.items() if isinstance(value, str)},
    )


def _metrics(row: Mapping[Any, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name not in NO_METRICS and math.isfinite(float(value))}


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Return the leaves of nested mappings, with the keys on the way to each joined by dots.

    Lists become JSON, and what is null is left out, as trackers know neither.
    """
    leaves: dict[str, Value] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            leaves |= flattened(value, f"{name}.")
        elif value is not None:
            leaves[name] = value if isinstance(value, Value) else json.dumps(value)
    return leaves
