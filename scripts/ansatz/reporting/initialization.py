"""Summaries and tables of the initialization study."""

from collections.abc import Collection
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ansatz.reporting.formatting import difference_and_interval, mean_and_spread, p_value
from ansatz.reporting.statistics import holm, mean_interval, mean_p_value

ALPHA = 0.05  # the level of the tests that the table shows
HEADINGS = {
    "rate": "learning rate",
    "validation": "best validation",
    "test": "test",
    "difference": "Δ to {baseline} [95 %]",
    "p": "p (Holm)",
    "published": "published",
}
PAGE: Any = [
    {"selector": "", "props": "font: 15px/1.5 system-ui, sans-serif; border-collapse: collapse; margin: 1em"},
    {"selector": "th", "props": "text-align: left"},
    {
        "selector": "th, td",
        "props": "padding: .2em 1.2em .2em 0; border-bottom: 1px solid #d9dfe5; white-space: nowrap",
    },
    {"selector": "caption", "props": "caption-side: bottom; text-align: left; max-width: 60em; padding-top: 1em"},
]  # of the table as a page
LATEX = str.maketrans({"_": r"\_", "%": r"\%", "Δ": r"$\Delta$", "±": r"$\pm$", "−": "$-$", "–": "--", "<": "$<$"})


def summarize(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Summarize runs over seeds.

    Parameters
    ----------
    runs : DataFrame
        One row for each run, as in ``runs.csv``.
    baseline : str
        The initializer that the others are compared with, seed by seed.

    Returns
    -------
    DataFrame
        One row for each (dataset, initializer), in the order of their first runs: the number of ``seeds`` and how many
        of them ``diverged``; over the runs that did not diverge, ``validation_mean`` and ``validation_std`` of the best
        validation accuracy, ``test_mean`` and ``test_std`` of the test accuracy at that epoch; over the seeds for which
        neither initializer diverged, the mean ``difference`` to the baseline and its 95 % interval (Student's t),
        ``difference_low`` and ``difference_high``; the ``baseline``; and p-values of two-sided paired t tests by Holm:
        ``p`` against the baseline, corrected over all rows, and ``p_best`` against the best mean of the dataset,
        corrected over that dataset's rows, 1 for the best itself. Accuracies are in 0..1; standard deviations divide by
        n - 1; NaN where there are too few runs.
    """
    rows = []
    for dataset, group in runs.groupby("dataset", sort=False):
        finished = group[group.status != "diverged"]
        accuracy = finished.pivot(index="seed", columns="initializer", values="best_validation_accuracy")
        accuracy = accuracy.reindex(columns=group.initializer.unique()).astype(float)  # (seeds, initializers)
        p_best = _p_best(accuracy)
        for initializer, own in group.groupby("initializer", sort=False):
            row = {"dataset": dataset, "initializer": initializer}
            own_finished = own[own.status != "diverged"]
            row |= {"seeds": len(own), "diverged": len(own) - len(own_finished)}
            for name, column in (("validation", "best_validation_accuracy"), ("test", "test_accuracy")):
                values = own_finished[column].astype(float)
                row |= {f"{name}_mean": values.mean(), f"{name}_std": values.std(ddof=1)}
            rows.append(row | compare(accuracy, initializer, baseline) | {"p_best": p_best[initializer]})
    summary = pd.DataFrame(rows)
    return summary.assign(p=holm(summary.p.to_numpy()))


def compare(values: pd.DataFrame, initializer: str, baseline: str) -> dict[str, Any]:
    """Compare an initializer with the baseline, in pairs.

    Parameters
    ----------
    values : DataFrame
        (seeds, initializers); NaN where a run diverged.
    initializer, baseline : str

    Returns
    -------
    dict
        The mean ``difference`` over the seeds for which both have a value, its 95 % interval (Student's t),
        ``difference_low`` and ``difference_high``, the ``baseline``, and the p-value of the two-sided paired t test,
        ``p``; NaN where there are too few seeds, and for the baseline itself.
    """
    differences = values[initializer].sub(values[baseline]).dropna().to_numpy()
    if initializer == baseline:
        differences = differences[:0]
    low, high = mean_interval(differences)
    mean = differences.mean() if len(differences) else np.nan
    interval = {"difference": mean, "difference_low": low, "difference_high": high}
    return interval | {"baseline": baseline, "p": mean_p_value(differences)}


def limits(points: pd.DataFrame) -> tuple[float, float]:
    """Return where the axis of a forest plot ends.

    Parameters
    ----------
    points : DataFrame
        Means and both ends of their intervals, in three columns.

    Returns
    -------
    low, high : float
        With a margin around all intervals, unless some are much farther from 0 than most.
    """
    farthest = 3 * points.abs().max(axis=1).median()
    ends = np.clip([points.min(axis=None), 0, points.max(axis=None)], -farthest, farthest)
    low, high = np.nan_to_num([ends.min(), ends.max()])  # NaN if all diverged
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _p_best(accuracy: pd.DataFrame) -> pd.Series:
    """Return the corrected p-values of all against the best mean, given accuracies (seeds, initializers)."""
    means = accuracy.mean().fillna(-np.inf)
    differences = accuracy.sub(accuracy[means.idxmax()], axis=0)
    p_values = np.array([mean_p_value(differences[name].dropna().to_numpy()) for name in accuracy])
    of_the_best = 1.0 if np.isfinite(p_values).any() else np.nan
    return pd.Series(holm(p_values), accuracy.columns).mask(means == means.max(), of_the_best)


def with_published(summary: pd.DataFrame, published: pd.DataFrame, same: Collection[str]) -> pd.DataFrame:
    """Add what was published.

    Parameters
    ----------
    summary : DataFrame
        As from `summarize`.
    published : DataFrame
        A row for each initializer and a column for each dataset: best validation accuracies in percent.
    same : collection of str
        The datasets on which our settings are the published ones.

    Returns
    -------
    DataFrame
        With the columns ``published``, in 0..1, NaN where nothing was, and ``same``: whether the settings are.
    """
    long = published.melt("initializer", var_name="dataset", value_name="published")
    long["published"] /= 100
    return summary.merge(long, on=["dataset", "initializer"], how="left").assign(same=summary.dataset.isin(list(same)))


def layout(summary: pd.DataFrame, bold: str = "**{}**") -> pd.DataFrame:
    """Lay the summary out as a table, accuracies in percent.

    Parameters
    ----------
    summary : DataFrame
        As from `with_published`; if rates were tuned, also from `tuning.with_rates`.
    bold : str
        The format of the best validation accuracy of each dataset, and of those that the test does not tell from it.

    Returns
    -------
    DataFrame
        Strings. The index is (dataset, initializer); the columns are keys of `HEADINGS`, without empty ones.
    """
    rows = [row for _, row in summary.iterrows()]
    cells = {
        "rate": [_rate(row) for row in rows],
        "validation": [_validation(row, bold if row.p_best >= ALPHA else "{}") for row in rows],
        "test": [_accuracy(row, "test") for row in rows],
        "difference": [_unless_baseline(row, difference_and_interval(row) or "–") for row in rows],
        "p": ["" if row.initializer == row.baseline else p_value(row.p) for row in rows],
        "published": [_published(row) for row in rows],
    }
    table = pd.DataFrame(cells, index=pd.MultiIndex.from_frame(summary[["dataset", "initializer"]]))
    return table.loc[:, (table != "").any()]


def _rate(row: pd.Series) -> str:
    rate = row.get("learning_rate", np.nan)
    return "" if np.isnan(rate) else f"{rate:g}" + (f" ({row.edge} tried)" if row.edge else "")


def _validation(row: pd.Series, form: str) -> str:
    if row.diverged == row.seeds:
        return "diverged"
    cell = _accuracy(row, "validation")
    return form.format(f"{cell} ({row.diverged} of {row.seeds} diverged)" if row.diverged else cell)


def _accuracy(row: pd.Series, part: str) -> str:
    mean, std = 100 * row[f"{part}_mean"], 100 * row[f"{part}_std"]
    return "" if np.isnan(mean) else mean_and_spread(mean, std)


def _unless_baseline(row: pd.Series, cell: str) -> str:
    return "baseline" if row.initializer == row.baseline else cell


def _published(row: pd.Series) -> str:
    if np.isnan(row.published):
        return ""
    return f"{100 * row.published:.2f}" if row.same else f"({100 * row.published:.2f})"


def caption(summary: pd.DataFrame) -> str:
    """Return what the table shows; `summary` as from `with_published`."""
    elsewhere = summary.published.notna() & ~summary.same
    at_edge = "edge" in summary and summary.edge.ne("").any()
    sentences = [
        "Accuracies in percent, mean ± standard deviation over seeds; differences Δ are paired by seed.",
        f"p: paired t test, corrected for all {summary.p.notna().sum()} comparisons.",
        f"Bold: the best of a dataset, and all that a paired t test does not tell from it at {100 * ALPHA:g} %, "
        "corrected for the comparisons with the best; without a second seed, none.",
        "A learning rate at the edge of those tried may not be the best." if at_edge else "",
        "In parentheses: published for other settings (VGG11 at 224 px, 20 epochs)." if elsewhere.any() else "",
    ]
    return " ".join(filter(None, sentences))


def cost(resources: pd.DataFrame) -> str:
    """Return what the runs took; `resources` as in ``resources.csv``."""
    hours, gpu_hours = resources.seconds.sum() / 3600, resources.gpu_seconds.sum() / 3600
    memory = resources.memory_mb.max()
    largest = f"; the largest took {memory / 1000:.1f} GB of memory" if memory > 0 else ""
    took = f"took {hours:.2f} hours of jobs, {gpu_hours:.2f} GPU hours{largest}"
    return f"The {len(resources)} runs, without their tuning and sources, {took}."


def to_markdown(summary: pd.DataFrame, caption: str = "") -> str:
    """Return the table in Markdown, with its caption below it; `summary` as from `with_published`."""
    table = layout(summary).rename(columns=headings(summary)).reset_index()
    return table.to_markdown(index=False, disable_numparse=True) + "\n" + (f"\n{caption}\n" if caption else "")


def to_html(summary: pd.DataFrame, caption: str = "") -> str:
    """Return the table as a page of HTML; `summary` as from `with_published`."""
    table = layout(summary, bold="{}").rename(columns=headings(summary)).reset_index()
    weights = np.where(summary.p_best >= ALPHA, "font-weight: bold", "")
    styler = table.style.hide(axis="index").format(escape="html").set_caption(escape(caption))
    styler = styler.apply(lambda column: weights, subset=[HEADINGS["validation"]]).set_table_styles(PAGE)
    return styler.to_html(doctype_html=True)


def to_latex(summary: pd.DataFrame, caption: str = "") -> str:
    """Return the table in LaTeX (package booktabs); `summary` as from `with_published`."""
    table = layout(summary, bold=r"\textbf{{{}}}").rename(columns=headings(summary))
    table = table.rename(columns=_latex, index=_latex).map(_latex)
    return table.rename_axis([None, None]).style.to_latex(
        hrules=True,
        multirow_align="naive",
        column_format="ll" + "r" * table.shape[1],
        caption=_latex(caption) if caption else None,
    )


def headings(summary: pd.DataFrame) -> dict[str, str]:
    """Return the heading of each column of `layout`."""
    return {key: heading.format(baseline=summary.baseline.iloc[0]) for key, heading in HEADINGS.items()}


def _latex(text: str) -> str:
    return text.translate(LATEX)
