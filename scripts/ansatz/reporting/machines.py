"""Summaries and tables of kernel machines, and what these need to know of a machine."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from ansatz.reporting.formatting import difference_and_interval, mean_and_spread
from ansatz.reporting.statistics import mean_interval

TASK = ["experiment", "dataset", "noise"]  # the columns that identify what machines of several seeds learn


@dataclass(frozen=True)
class Machine:
    """What tables and figures need to know of a machine, as it is declared where the machine is registered.

    Attributes
    ----------
    title : str
        Its name in figures.
    learns_features : bool
    baseline : bool
        Whether the others are compared with it.
    starts_from : str, optional
        The machine that it is with a single layer; without any layer, both are the baseline.
    """

    title: str
    learns_features: bool = False
    baseline: bool = False
    starts_from: str | None = None


def read_declared(declared: Mapping[str, Mapping[str, Any]]) -> dict[str, Machine]:
    """Return machines by label, in the given order.

    Parameters
    ----------
    declared : mapping of str to mapping
        Label -> declared properties. Others than those of `Machine` are ignored. Machines without a title, and those
        that share one, are called by their label.
    """
    names = [field.name for field in fields(Machine)]
    properties = {
        label: {name: own[name] for name in names if name in own} | {"title": own.get("title") or label}
        for label, own in declared.items()
    }
    uses = Counter(own["title"] for own in properties.values())
    return {
        label: Machine(**own | {"title": own["title"] if uses[own["title"]] == 1 else label})
        for label, own in properties.items()
    }


def baseline_of(machines: Mapping[str, Machine]) -> str | None:
    """Return the label of the first baseline, or None where there is none."""
    return next((label for label, machine in machines.items() if machine.baseline), None)


def present(machines: Mapping[str, Machine], labels: Iterable[str]) -> dict[str, Machine]:
    """Return the machines with these labels, in the order of `machines`; those that are not declared come last."""
    labels = set(labels)
    undeclared = {label: Machine(label) for label in sorted(labels - set(machines))}
    return {label: machine for label, machine in (dict(machines) | undeclared).items() if label in labels}


def summarize(tidy: pd.DataFrame, machines: Mapping[str, Machine]) -> pd.DataFrame:
    """Summarize the scores of machines over seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``kernels/tidy.csv``.
    machines : mapping of str to Machine
        By label; the others are compared with the baseline among them, seed by seed.

    Returns
    -------
    DataFrame
        One row for each (experiment, dataset, noise, machine, layers), in the order of `tidy`: the numbers of
        ``seeds``, ``train`` and ``test`` images, mean and standard deviation of the ``accuracy``, mean ``seconds``, and
        the mean ``difference`` to the baseline with its 95 % interval (Student's t), ``difference_low`` and
        ``difference_high``; NaN where there is none.
    """
    baseline = baseline_of(machines)
    keys = [*TASK, "machine", "layers"]
    rows = []
    for values, group in tidy.groupby(keys, sort=False):
        row = dict(zip(keys, values, strict=True))
        same_task = (tidy[TASK] == list(values[: len(TASK)])).all(axis=1)
        reference = tidy[same_task & (tidy.machine == baseline)].set_index("seed").accuracy
        differences = (group.set_index("seed").accuracy - reference).dropna().to_numpy()
        low, high = mean_interval(differences) if row["machine"] != baseline else (np.nan, np.nan)
        row |= {"seeds": len(group), "train": group.train.iloc[0], "test": group.test.iloc[0]}
        row |= {"accuracy": group.accuracy.mean(), "accuracy_std": group.accuracy.std(ddof=1)}
        row |= {"seconds": group.seconds.mean(), "difference": differences.mean() if len(differences) else np.nan}
        rows.append(row | {"difference_low": low, "difference_high": high})
    return pd.DataFrame(rows)


def to_markdown(summary: pd.DataFrame, machines: Mapping[str, Machine]) -> str:
    """Return a table of the accuracies of machines in Markdown; `summary` as from `summarize`."""
    baseline = baseline_of(machines)
    table = summary[[*TASK, "machine", "layers", "train", "test", "seeds"]].copy()
    table["accuracy"] = [
        mean_and_spread(100 * row.accuracy, 100 * row.accuracy_std, ".1f") for row in summary.itertuples()
    ]
    if baseline is not None:
        table[f"Δ {machines[baseline].title} [95 %]"] = [
            "" if row.machine == baseline else difference_and_interval(row, "+.1f") for row in summary.itertuples()
        ]
    table["seconds"] = summary.seconds.map("{:.1f}".format)
    return (
        "Test accuracy in percent, mean ± standard deviation over seeds. Layers are those that learn features; seconds "
        "are the time to fit the machine with all its layers.\n\n"
        f"{table.to_markdown(index=False, disable_numparse=True)}\n"
    )
