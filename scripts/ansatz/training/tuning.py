"""Choose a learning rate from the outcomes of trainings that tried several."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import mean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # pandas takes long to import, and choosing does not need it
    import pandas as pd

Outcome = Mapping[str, Any]
COLUMNS = ("dataset", "initializer", "learning_rate", "seed", "status", "best_validation_accuracy")


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


def tabulate(outcomes: Sequence[Outcome]) -> "pd.DataFrame":
    """Return a table of trainings, as in ``tuning.csv``.

    Parameters
    ----------
    outcomes : sequence of mapping
        The ``summary.json`` of each training.

    Returns
    -------
    DataFrame
        A row for each training, with `COLUMNS` and whether its rate is the ``chosen`` one.
    """
    import pandas as pd

    table = pd.DataFrame([{column: outcome[column] for column in COLUMNS} for outcome in outcomes])
    chosen = pd.Series(False, table.index)
    for _, rows in table.groupby(["dataset", "initializer"], sort=False):
        chosen[rows.index] = rows.learning_rate == best_rate([outcomes[row] for row in rows.index])
    return table.assign(chosen=chosen)
