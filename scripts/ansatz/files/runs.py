"""Collect the results of many runs."""

import csv
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ansatz.files.results import read_results
from ansatz.files.tables import CLOCK, OUTCOME, RESOURCES, RUN, metrics_columns

if TYPE_CHECKING:  # pandas takes long to import, and some jobs never need it
    import pandas as pd

Paths = Sequence[str | os.PathLike[str]]


def gather(metrics: Paths, summaries: Paths) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Collect runs.

    Parameters
    ----------
    metrics, summaries : sequence of path
        The ``metrics.csv`` and the ``summary.json`` of each run, in the same order.

    Returns
    -------
    tidy : DataFrame
        As in ``tidy.csv``: one row an epoch of a run, with the training ``images`` that it has seen by then; empty
        where a run does not have a metric.
    runs : DataFrame
        As in ``runs.csv``: one row a run.

    Raises
    ------
    UserError
        If a file cannot be read, is incomplete, or has changed since it was written.
    """
    import pandas as pd

    epochs, outcomes = zip(*map(read_results, metrics, summaries), strict=True)
    for table, outcome in zip(epochs, outcomes, strict=True):
        for position, key in enumerate(RUN):
            table.insert(position, key, outcome[key])
        table["images"] = images_seen(table)
    tidy = pd.concat(epochs, ignore_index=True)
    epoch, *columns = [column for column in metrics_columns(tidy.columns) if column not in CLOCK]
    return tidy[[*RUN, epoch, "images", *columns]], pd.DataFrame(outcomes)[[*RUN, *OUTCOME]]


def images_seen(epochs: "pd.DataFrame") -> "pd.Series":
    """Return the training images that a run has seen by the end of each epoch, from its ``metrics.csv``."""
    return (epochs.images_per_second * epochs.seconds).round().astype(int).cumsum()


def resources(benchmarks: Paths, runs: "pd.DataFrame") -> "pd.DataFrame":
    """Return the time and memory of runs, as in ``resources.csv``.

    Parameters
    ----------
    benchmarks : sequence of path
        Snakemake's benchmark file of each run, in the order of `runs`. Values that cannot be read are left empty, as
        they are not worth another training.
    runs : DataFrame
        As in ``runs.csv``.
    """
    import pandas as pd

    jobs = pd.DataFrame([_read_benchmark(path) for path in benchmarks], columns=["s", "max_rss"])
    jobs = jobs.apply(pd.to_numeric, errors="coerce")
    table = runs[[*RUN, "device"]].assign(
        seconds=jobs.s, training_seconds=runs.seconds.round(3), memory_mb=jobs.max_rss, gpu_seconds=0.0
    )
    on_gpu = ~table.device.str.startswith("cpu")
    table.loc[on_gpu, "gpu_seconds"] = table.loc[on_gpu, ["seconds", "training_seconds"]].max(axis=1)
    return table[[*RUN, *RESOURCES]]


def chance_levels(datasets: Paths) -> dict[str, float]:
    """Return the accuracy of guessing the commonest class, by the names of datasets.

    Parameters
    ----------
    datasets : sequence of path
        Each a ``dataset.h5``, of which only the labels are read. Those that have been deleted are left out, as they are
        not worth another training.
    """
    import h5py

    levels = {}
    for path in datasets:
        with suppress(OSError, KeyError), h5py.File(path) as file:
            labels = file["labels"][...]  # of training and validation images
            levels[str(file.attrs["name"])] = float(np.bincount(labels).max() / len(labels))
    return levels


def _read_benchmark(path: str | os.PathLike[str]) -> dict[str, str]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return next(csv.DictReader(file, delimiter="\t"), {})
    except (OSError, ValueError, csv.Error):
        return {}
