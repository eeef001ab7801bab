"""Which learning rates were chosen, and whether they lie at the edge of those that were tried."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

KEYS = ["dataset", "initializer"]
COLUMNS = [*KEYS, "learning_rate", "seed", "status", "best_validation_accuracy"]


def tabulate(outcomes: Sequence[Mapping[str, Any]], choices: Sequence[float]) -> pd.DataFrame:
    """Return a table of trainings, as ``tuning.csv``.

    Parameters
    ----------
    outcomes : sequence of mapping
        The ``summary.json`` of each training.
    choices : sequence of float
        The learning rate that was chosen for each dataset and initializer, in the order of `outcomes`.

    Returns
    -------
    DataFrame
        A row for each training, with `COLUMNS` and whether its rate is the ``chosen`` one.
    """
    table = pd.DataFrame([{column: outcome[column] for column in COLUMNS} for outcome in outcomes])
    of_row = table.groupby(KEYS, sort=False).ngroup().map(dict(enumerate(choices)))
    return table.assign(chosen=table.learning_rate == of_row)


def chosen_rates(tuning: pd.DataFrame) -> pd.DataFrame:
    """Return the chosen learning rates.

    Parameters
    ----------
    tuning : DataFrame
        As ``tuning.csv``: a row for each dataset, initializer, learning rate and tuning seed, and whether the rate is
        the ``chosen`` one.

    Returns
    -------
    DataFrame
        One row for each (dataset, initializer), in the order of `tuning`: the ``learning_rate``, and ``edge``, which is
        ``"smallest"`` or ``"largest"`` where it is the smallest or largest that was tried, so that a better one may lie
        beyond, and empty elsewhere, as also where several rates are equally good.
    """
    tried = tuning.groupby(KEYS, sort=False).learning_rate.agg(smallest="min", largest="max")
    chosen = tuning[tuning.chosen].groupby(KEYS, sort=False).learning_rate.first().to_frame().join(tried)
    accuracy = tuning.groupby([*KEYS, "learning_rate"], sort=False).best_validation_accuracy.mean()
    alone = accuracy.eq(accuracy.groupby(KEYS).transform("max")).groupby(KEYS).sum().eq(1)  # others are not as good
    chosen["edge"] = ""
    for edge in ("largest", "smallest"):
        chosen.loc[chosen.learning_rate.eq(chosen[edge]) & alone.reindex(chosen.index), "edge"] = edge
    return chosen.drop(columns=["smallest", "largest"]).reset_index()


def with_rates(summary: pd.DataFrame, tuning: pd.DataFrame) -> pd.DataFrame:
    """Add the columns ``learning_rate`` and ``edge`` to a summary; `tuning` as for `chosen_rates`."""
    table = summary.merge(chosen_rates(tuning), on=KEYS, how="left")
    return table.assign(edge=table.edge.fillna(""))


def warnings_of(tuning: pd.DataFrame) -> list[str]:
    """Return a line for each grid that may lack the best rate, with what to do; `tuning` as for `chosen_rates`.

    The chosen rate is then at an edge, or training diverged at all of them, the chosen one included.
    """
    diverged = tuning[tuning.chosen & (tuning.status == "diverged")].set_index(KEYS).index
    beyond, lines = {"smallest": "smaller", "largest": "larger"}, []
    for row in chosen_rates(tuning).itertuples():
        if (row.dataset, row.initializer) in diverged:
            lines.append(f"{row.dataset}: {row.initializer} diverges at every learning rate tried; add smaller ones")
        elif row.edge:
            best = f"{row.dataset}: the best learning rate of {row.initializer}, {row.learning_rate:g}"
            lines.append(f"{best}, is the {row.edge} tried; add {beyond[row.edge]} ones")
    return [f"{line} to initialization.tuning.learning_rates" for line in lines]
