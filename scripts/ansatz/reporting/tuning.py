"""Which learning rates were chosen, and whether they lie at the edge of those that were tried."""

import pandas as pd


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
    keys = ["dataset", "initializer"]
    tried = tuning.groupby(keys, sort=False).learning_rate.agg(smallest="min", largest="max")
    chosen = tuning[tuning.chosen].groupby(keys, sort=False).learning_rate.first().to_frame().join(tried)
    accuracy = tuning.groupby([*keys, "learning_rate"], sort=False).best_validation_accuracy.mean()
    alone = accuracy.eq(accuracy.groupby(keys).transform("max")).groupby(keys).sum().eq(1)  # others are not as good
    chosen["edge"] = ""
    for edge in ("largest", "smallest"):
        chosen.loc[chosen.learning_rate.eq(chosen[edge]) & alone.reindex(chosen.index), "edge"] = edge
    return chosen.drop(columns=["smallest", "largest"]).reset_index()


def with_rates(summary: pd.DataFrame, tuning: pd.DataFrame) -> pd.DataFrame:
    """Add the columns ``learning_rate`` and ``edge`` to a summary; `tuning` as for `chosen_rates`."""
    table = summary.merge(chosen_rates(tuning), on=["dataset", "initializer"], how="left")
    return table.assign(edge=table.edge.fillna(""))


def edge_lines(tuning: pd.DataFrame) -> list[str]:
    """Return a line for each chosen rate at an edge, with what to do; `tuning` as for `chosen_rates`."""
    beyond = {"smallest": "smaller", "largest": "larger"}
    return [
        f"{row.dataset}: the best learning rate of {row.initializer}, {row.learning_rate:g}, is the {row.edge} tried; "
        f"add {beyond[row.edge]} ones to initialization.tuning.learning_rates"
        for row in chosen_rates(tuning).itertuples()
        if row.edge
    ]
