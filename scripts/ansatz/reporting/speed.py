"""How fast networks learn: epochs and images until the baseline's accuracy is nearly reached, and accuracies before."""

import numpy as np
import pandas as pd

from ansatz.files.tables import RUN
from ansatz.reporting.formatting import mean_and_spread, or_dash

MARGIN = 0.01  # how far the target lies below the baseline's best validation accuracy
KEYS = list(RUN)


def by_run(tidy: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Measure how fast each run learned.

    Parameters
    ----------
    tidy : DataFrame
        As ``tidy.csv``.
    baseline : str
        The initializer whose runs set the target of a dataset: the best validation accuracy, averaged over the seeds
        that did not diverge, minus one percentage point.

    Returns
    -------
    DataFrame
        One row for each run, in the order of `tidy`: its ``status``, the ``epochs`` and training ``images`` it took in
        all, the ``baseline`` and its ``target``; ``target_epochs`` and ``target_images`` until an epoch ended with that
        validation accuracy or more, NaN where none did; ``area``, the mean validation accuracy over epochs, to which a
        run that ended early contributes its last one; and ``first_accuracy``, that after one epoch. All of these are
        NaN where the run diverged.
    """
    finished = tidy[tidy.status.eq("ok").groupby([tidy[key] for key in KEYS]).transform("all")]
    best = finished.groupby(KEYS).validation_accuracy.max()
    target = best[best.index.get_level_values("initializer") == baseline].groupby("dataset").mean() - MARGIN
    reached = finished[finished.validation_accuracy >= finished.dataset.map(target)].groupby(KEYS)[["epoch", "images"]]
    curves = finished.pivot(index="epoch", columns=KEYS, values="validation_accuracy").ffill()  # (epochs, runs)
    runs = tidy.groupby(KEYS, sort=False).agg(
        status=("status", "last"), epochs=("epoch", "last"), images=("images", "last")
    )
    runs = runs.assign(baseline=baseline, target=runs.index.get_level_values("dataset").map(target))
    runs[["target_epochs", "target_images"]] = reached.first().reindex(runs.index)
    return runs.assign(area=curves.mean(), first_accuracy=curves.loc[1] if 1 in curves.index else np.nan).reset_index()


def summarize(speed: pd.DataFrame) -> pd.DataFrame:
    """Summarize the speed of learning over seeds.

    Parameters
    ----------
    speed : DataFrame
        As from `by_run`.

    Returns
    -------
    DataFrame
        One row for each (dataset, initializer), in the order of `speed`: the number of ``seeds`` and how many of them
        ``reached`` the ``target``; the medians ``epochs`` and ``images`` until then, for which the others count as
        infinite; means and standard deviations of ``area`` and ``first_accuracy``.
    """
    rows = []
    for (dataset, initializer), group in speed.groupby(["dataset", "initializer"], sort=False):
        row = {"dataset": dataset, "initializer": initializer, "seeds": len(group)}
        row |= {"reached": group.target_epochs.notna().sum(), "target": group.target.iloc[0]}
        row |= {name: group[f"target_{name}"].fillna(np.inf).median() for name in ("epochs", "images")}
        for name in ("area", "first_accuracy"):
            row |= {name: group[name].mean(), f"{name}_std": group[name].std(ddof=1)}
        rows.append(row)
    return pd.DataFrame(rows)


def to_markdown(speed: pd.DataFrame) -> str:
    """Return a table of the speed of learning in Markdown; `speed` as from `by_run`."""
    summary = summarize(speed)
    longest = speed.groupby("dataset")[["epochs", "images"]].max()
    table = summary[["dataset", "initializer"]].copy()
    table["target"] = [or_dash(f"{100 * row.target:.2f}") for row in summary.itertuples()]
    table["reached by"] = [f"{row.reached} of {row.seeds}" for row in summary.itertuples()]
    for name in ("epochs", "images"):
        table[f"{name} to target"] = [
            _censored(getattr(row, name), longest.loc[row.dataset, name]) for row in summary.itertuples()
        ]
    for name, heading in (("area", "mean over epochs"), ("first_accuracy", "after 1 epoch")):
        values = zip(100 * summary[name], 100 * summary[f"{name}_std"], strict=True)
        table[heading] = [or_dash(mean_and_spread(*value)) for value in values]
    return (
        f"The target is the best validation accuracy of {speed.baseline.iloc[0]}, averaged over seeds, minus "
        f"{100 * MARGIN:g} percentage point. Epochs and training images until it is first reached are medians over "
        "seeds; seeds that diverge or never reach it count as later than all others. The last two columns are the "
        "validation accuracy averaged over all epochs (the area under its curve) and that after the first epoch, mean "
        "± standard deviation over the seeds that did not diverge. Accuracies are in percent.\n\n"
        f"{table.to_markdown(index=False, disable_numparse=True)}\n"
    )


def _censored(median: float, longest: float) -> str:
    return f"> {longest:,.0f}" if np.isinf(median) else f"{median:,.10g}"
