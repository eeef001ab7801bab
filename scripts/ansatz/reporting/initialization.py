"""Summaries and tables of the initialization study."""

import numpy as np
import pandas as pd

from ansatz.reporting.formatting import difference_and_interval, mean_and_spread
from ansatz.reporting.statistics import mean_interval

HEADINGS = {
    "validation": "best validation",
    "test": "test",
    "difference": "Δ to {baseline} [95 %]",
    "published": "published (VGG11, 224 px)",
}
LATEX = str.maketrans({"_": r"\_", "%": r"\%", "Δ": r"$\Delta$", "±": r"$\pm$"})


def summarize(runs: pd.DataFrame, baseline: str, level: float = 0.95) -> pd.DataFrame:
    """Summarize runs over seeds.

    Parameters
    ----------
    runs : DataFrame
        One row for each run, as in ``runs.csv``.
    baseline : str
        The initializer that the others are compared with, seed by seed.
    level : float
        The confidence level of the interval of the mean paired difference (Student's t).

    Returns
    -------
    DataFrame
        One row for each (dataset, initializer), in the order of their first runs: the number of ``seeds`` and how many
        of them ``diverged``; over the runs that did not diverge, ``validation_mean`` and ``validation_std`` of the best
        validation accuracy, ``test_mean`` and ``test_std`` of the test accuracy at that epoch; over the seeds for which
        neither initializer diverged, the mean ``difference`` to the baseline and its interval, ``difference_low`` and
        ``difference_high``; and the ``baseline``. Accuracies are in 0..1; standard deviations divide by n - 1; NaN
        where there are too few runs.
    """
    rows = []
    for (dataset, initializer), group in runs.groupby(["dataset", "initializer"], sort=False):
        finished = group[group.status != "diverged"]
        reference = runs[(runs.dataset == dataset) & (runs.initializer == baseline) & (runs.status != "diverged")]
        row = {"dataset": dataset, "initializer": initializer}
        row |= {"seeds": len(group), "diverged": len(group) - len(finished)}
        for name, column in (("validation", "best_validation_accuracy"), ("test", "test_accuracy")):
            values = finished[column].astype(float)
            row |= {f"{name}_mean": values.mean(), f"{name}_std": values.std(ddof=1)}
        pairs = finished.merge(reference, on="seed", suffixes=("", "_baseline"))
        differences = pairs.best_validation_accuracy - pairs.best_validation_accuracy_baseline
        if initializer == baseline:
            differences = differences[:0]
        low, high = mean_interval(differences.to_numpy(float), level)
        row |= {"difference": differences.mean(), "difference_low": low, "difference_high": high}
        rows.append(row | {"baseline": baseline})
    return pd.DataFrame(rows)


def with_published(summary: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Add the column ``published``: the published best validation accuracy in 0..1, NaN where there is none.

    Parameters
    ----------
    summary : DataFrame
        As from `summarize`.
    published : DataFrame
        A row for each initializer and a column for each dataset, in percent.
    """
    long = published.melt("initializer", var_name="dataset", value_name="published")
    long["published"] /= 100
    return summary.merge(long, on=["dataset", "initializer"], how="left")


def layout(summary: pd.DataFrame, bold: str = "**{}**", plus_minus: str = "±", minus: str = "−") -> pd.DataFrame:
    """Lay the summary out as a table, accuracies in percent.

    Parameters
    ----------
    summary : DataFrame
        As from `with_published`.
    bold : str
        The format of the best validation accuracy of each dataset.
    plus_minus, minus : str
        These signs in the language of the table.

    Returns
    -------
    DataFrame
        Strings. The index is the initializers; the columns are (dataset, key of `HEADINGS`), without empty ones.
    """
    columns = {}
    for dataset, group in summary.groupby("dataset", sort=False):
        group = group.set_index("initializer")
        best = group.validation_mean.where(group.diverged < group.seeds).max()
        validation = {name: _validation(row, plus_minus) for name, row in group.iterrows()}
        columns[dataset, "validation"] = pd.Series(
            {
                name: bold.format(cell) if group.validation_mean[name] == best else cell
                for name, cell in validation.items()
            }
        )
        columns[dataset, "test"] = pd.Series(
            {name: _accuracy(row, "test", plus_minus) for name, row in group.iterrows()}
        )
        columns[dataset, "difference"] = pd.Series({name: _difference(row, minus) for name, row in group.iterrows()})
        columns[dataset, "published"] = group.published.map(
            lambda value: "" if pd.isna(value) else f"{100 * value:.2f}"
        )
    table = pd.DataFrame(columns).fillna("")
    return table.loc[:, (table != "").any()].rename_axis("initializer")


def _validation(row: pd.Series, plus_minus: str) -> str:
    if row.diverged == row.seeds:
        return "diverged"
    cell = _accuracy(row, "validation", plus_minus)
    return f"{cell} ({row.diverged} of {row.seeds} diverged)" if cell and row.diverged else cell


def _difference(row: pd.Series, minus: str) -> str:
    return "baseline" if row.name == row.baseline else difference_and_interval(row, minus=minus) or "–"


def _headings(summary: pd.DataFrame) -> dict[str, str]:
    baseline = summary.baseline.iloc[0]
    return {key: heading.format(baseline=baseline) for key, heading in HEADINGS.items()}


def _accuracy(row: pd.Series, part: str, plus_minus: str) -> str:
    mean, std = 100 * row[f"{part}_mean"], 100 * row[f"{part}_std"]
    return "" if np.isnan(mean) else mean_and_spread(mean, std, plus_minus=plus_minus)


def caption(resources: pd.DataFrame) -> str:
    """Return what the table shows and what its runs took; `resources` as in ``resources.csv``."""
    hours, gpu_hours = resources.seconds.sum() / 3600, resources.gpu_seconds.sum() / 3600
    memory = resources.memory_mb.max()
    largest = f"; the largest took {memory / 1000:.1f} GB of memory" if memory > 0 else ""
    took = f"{len(resources)} runs took {hours:.2f} hours of jobs, {gpu_hours:.2f} GPU hours{largest}."
    return f"Accuracies in percent, mean ± standard deviation over seeds; differences are paired by seed. {took}"


def to_markdown(summary: pd.DataFrame, caption: str = "") -> str:
    """Return the table in Markdown, the best validation accuracy of each dataset in bold, and its caption below it."""
    table, headings = layout(summary), _headings(summary)
    table.columns = pd.Index([f"{dataset}: {headings[what]}" for dataset, what in table.columns])
    return table.to_markdown(disable_numparse=True) + "\n" + (f"\n{caption}\n" if caption else "")


def to_latex(summary: pd.DataFrame, caption: str = "") -> str:
    """Return the table in LaTeX (package booktabs), the best validation accuracy of each dataset in bold."""
    table, headings = layout(summary, bold=r"\textbf{{{}}}", plus_minus=r"$\pm$", minus="$-$"), _headings(summary)

    def escaped(text: str) -> str:
        return text.translate(LATEX)

    table.index = table.index.map(escaped)
    table.columns = pd.MultiIndex.from_tuples([(escaped(d), escaped(headings[what])) for d, what in table.columns])
    table.index.name = None
    return table.style.to_latex(
        hrules=True,
        multicol_align="c",
        column_format="l" + "r" * table.shape[1],
        caption=escaped(caption) if caption else None,
    )
