"""What initializers gain that draw from several sources: sources x datasets to train on."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ansatz.reporting.formatting import with_interval
from ansatz.reporting.initialization import compare

MEASURES = {
    "difference": "best validation accuracy",
    "area_difference": "validation accuracy, mean over epochs",
}  # what is compared with the baseline, the latter as the speed of learning
TESTED = "difference"  # the measure to which p-values belong
ENDS = ("", "_low", "_high")  # of the columns of a measure: the mean difference and its interval


def tabulate(summary: pd.DataFrame, speed: pd.DataFrame, drawn: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return what each initializer gains from each source on each dataset.

    Parameters
    ----------
    summary : DataFrame
        As ``table.csv``.
    speed : DataFrame
        As ``speed.csv``.
    drawn : mapping of str to mapping
        Initializer -> ``kind``, its name without its source; ``source``; and ``seen``, the dataset whose images the
        source was trained on or its AGOP averaged over, if there is one.

    Returns
    -------
    DataFrame
        One row for each ``initializer`` and ``dataset``, in the order of `drawn`: its ``kind`` and ``source``; whether
        that has seen the ``same`` dataset; the mean paired differences to the ``baseline`` of the best validation
        accuracy, ``difference``, and of the validation accuracy averaged over epochs, ``area_difference``, in 0..1,
        each with its 95 % interval, in columns that end in ``_low`` and ``_high``; and ``p`` of the former, as in
        `summary`. NaN as in `compare`.
    """
    areas = {
        dataset: runs.pivot(index="seed", columns="initializer", values="area")  # (seeds, initializers)
        for dataset, runs in speed.groupby("dataset")
    }
    rows = []
    for label, origin in drawn.items():
        for row in summary[summary.initializer == label].to_dict("records"):
            measured = {"difference": row, "area_difference": compare(areas[row["dataset"]], label, row["baseline"])}
            rows.append(
                {"kind": origin["kind"], "source": origin["source"], "dataset": row["dataset"], "initializer": label}
                | {"same": origin["seen"] == row["dataset"], "baseline": row["baseline"], "p": row["p"]}
                | {f"{name}{end}": of[f"difference{end}"] for name, of in measured.items() for end in ENDS}
            )
    return pd.DataFrame(rows)


def grid(transfer: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column for one kind as (sources, datasets), both in their order."""
    table = transfer.pivot(index="source", columns="dataset", values=column)
    return table.loc[transfer.source.unique(), transfer.dataset.unique()]


def text(row: Mapping[str, Any], measure: str, form: str = "+z.2f") -> str:
    """Return the difference of a row of `tabulate` and its interval, in percentage points."""
    mean, low, high = (100 * row[f"{measure}{end}"] for end in ENDS)
    return "baseline" if row["initializer"] == row["baseline"] else with_interval(mean, low, high, form) or "diverged"


def to_markdown(transfer: pd.DataFrame) -> str:
    """Return a table for each kind and measure in Markdown; `transfer` as from `tabulate`."""
    parts = [
        f"Mean differences to {transfer.baseline.iloc[0]} over pairs of runs with the same seed, with 95 % intervals, "
        "in percentage points: a row for each source, a column for each dataset that is trained on. Bold: the source "
        "has seen this dataset.\n"
    ]
    for kind, own in transfer.groupby("kind", sort=False):
        for measure, title in MEASURES.items():
            texts = [("**{}**" if row["same"] else "{}").format(text(row, measure)) for row in own.to_dict("records")]
            cells = grid(own.assign(text=texts), "text")
            table = cells.rename_axis(None, axis="columns").reset_index()
            parts.append(f"{kind}: {title}\n\n{table.to_markdown(index=False, disable_numparse=True)}\n")
    return "\n".join(parts)
