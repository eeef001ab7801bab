"""The columns of every CSV file, and how tables are written and read back."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansatz.errors import UserError
from ansatz.files.atomic import atomic, read_whole

if TYPE_CHECKING:  # pandas takes long to import, and some jobs never need it
    import pandas as pd

RUN = ("dataset", "initializer", "seed")
CLOCK = ("images_per_second", "seconds")
PARTS = (  # that each epoch measures
    "train",  # a running mean over the epoch, with dropout
    "train_eval",  # at the end of the epoch, in evaluation mode, on a fixed sample of the training images
    "validation",
)
METRICS = (  # of metrics.csv, which has further ones where a training names further metrics: see `metrics_columns`
    "epoch",
    "status",  # "ok"; "diverged" for the epoch whose loss was not finite
    *(f"{part}_{metric}" for part in PARTS for metric in ("loss", "accuracy")),
    "learning_rate",
    *CLOCK,
)
OUTCOME = ("status", "epochs", "best_epoch", "best_validation_accuracy", "test_accuracy", "device", "seconds")
RESOURCES = (
    "device",
    "seconds",  # of the job that finished the run, from start to end; empty where it was not measured
    "training_seconds",  # of all epochs, those of interrupted jobs included
    "memory_mb",  # largest resident set, without the GPU's memory; empty where it was not measured
    "gpu_seconds",  # the longer of the two times above, where the device was a GPU
)
ACTIVATIONS = (
    *RUN,
    "layer",
    "std",  # of the outputs of a convolution before training; empty where they are not finite
)
COMPARED = (  # the ansatz; its control, the filters before training; and the ansatz before training
    ("nfm", "agop"),
    ("nfm", "root_agop"),
    ("nfm", "initial_nfm"),
    ("initial_nfm", "initial_agop"),
    ("initial_nfm", "initial_root_agop"),
    ("nfm", "root_nfm"),  # what the root would be if gradients were isotropic, so that AGOP were the NFM
    ("nfm", "shuffled_agop"),  # of each head with the AGOP of the next
    ("nfm", "shuffled_root_agop"),
    ("centred_nfm", "agop"),  # of what training added to the initial weights
    ("centred_nfm", "root_agop"),
    ("nfm", "fact"),  # what the NFM is at convergence with weight decay, but for its scale
)
POWERS = (0.125, 0.167, 0.2, 0.25, 0.333, 0.5, 0.667, 0.75, 1, 1.5, 2)  # of AGOP that are compared with NFM
ALIGNMENT = (
    *("experiment", "variant", "dataset", "seed"),
    *("images", "estimator"),  # of AGOP: how many images, and exact or the number of probes
    *("validation_accuracy", "test_accuracy"),  # of the network that is compared; empty where it was not measured
    *("layer", "shape", "head", "standard_error"),  # head: from 1, in an attention; empty for the whole layer
    *(f"{measure}_{a}_{b}" for a, b in COMPARED for measure in ("correlation", "cosine")),
    *(f"power_{power}" for power in POWERS),  # correlation of NFM and AGOP to this power
)
SPECTRA = (
    *("source", "kind", "layer", "shape"),  # shape: of the layer's patches
    "effective_rank",
    "index",  # from 1
    "eigenvalue",  # the largest but index - 1, as a share of the trace
)
SOURCES_COMPARED = ("source", "other", "kind", "layer", "correlation")
SCORES = (
    *("experiment", "dataset", "noise", "machine", "seed"),
    *("layers", "accuracy"),  # the accuracy with only the first `layers` layers that learn features
    *("train", "test"),  # numbers of images
    "seconds",  # to fit the whole machine
)
# Text, also where it is empty, "NA" or "007".
NAMES = ("experiment", "dataset", "machine", "initializer", "kind", "source", "other", "chain", "layer", "edge")


def metrics_columns(columns: Iterable[str] = ()) -> list[str]:
    """Return the columns of a ``metrics.csv`` in order: `METRICS`, and each further metric after its part's accuracy.

    Parameters
    ----------
    columns : iterable of str
        The columns that rows have, such as ``train_top5`` and ``validation_top5`` for the metric ``top5``.
    """
    further: dict[str, list[str]] = {part: [] for part in PARTS}
    for column in dict.fromkeys(columns):
        parts = [part for part in PARTS if column.startswith(f"{part}_")]
        if parts and column not in METRICS:
            further[max(parts, key=len)].append(column)  # of train_eval, not of train
    accuracies = {f"{part}_accuracy": part for part in PARTS}
    return [name for column in METRICS for name in (column, *further.get(accuracies.get(column, ""), ()))]


def write_csv(path: str | os.PathLike[str], table: "pd.DataFrame") -> None:
    """Write a table; floats in the shortest form that reads back as the same number."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)


def write_metrics(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``metrics.csv``: one row an epoch."""
    columns = metrics_columns(column for row in rows for column in row)
    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: str | os.PathLike[str], columns: Iterable[str] = ()) -> "pd.DataFrame":
    """Read a table that `write_csv` wrote, number for number.

    Raises
    ------
    UserError
        If it cannot be read, or lacks one of the `columns`.
    """
    return read_whole(path, _read_table, columns)


def read_scores(path: str | os.PathLike[str]) -> "pd.DataFrame":
    """Read a table of `SCORES`.

    Raises
    ------
    UserError
        If it cannot be read or a value is missing.
    """
    table = read_csv(path, SCORES)[list(SCORES)]
    if table.isna().any(axis=None) or table.accuracy.dtype.kind != "f":
        raise UserError(f"{path}: is incomplete; remove it and run again")
    return table


def _read_table(path: Path) -> "pd.DataFrame":
    import pandas as pd

    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        raise ValueError("the last line is torn")
    header = next(csv.reader([text.partition("\n")[0]]), [])
    missing = {column: ["", "nan"] for column in header if column not in NAMES}
    return pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(NAMES, str), keep_default_na=False, na_values=missing)
