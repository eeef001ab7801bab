"""Summaries and tables of the ansatz: how NFM and AGOP align."""

import math
from collections.abc import Iterable
from itertools import repeat

import pandas as pd

from ansatz.reporting.formatting import mean_and_spread, or_dash

PAIRS = {
    "nfm_agop": "NFM – AGOP",
    "nfm_root_agop": "NFM – √AGOP",
    "nfm_initial_nfm": "NFM – initial NFM",
    "initial_nfm_initial_agop": "NFM – AGOP, initial",
}  # the pairs of matrices that tables and figures show -> their headings
MEASURES = ("correlation_", "cosine_")  # what the columns that compare a pair begin with


def by_layer(tidy: pd.DataFrame) -> pd.DataFrame:
    """Average the comparisons over seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    DataFrame
        One row for each (experiment, variant, dataset, layer), in the order of `tidy`: the number of ``seeds`` and the
        means of accuracies, correlations and cosines.
    """
    groups = tidy.groupby(["experiment", "variant", "dataset", "layer", "shape"], sort=False)
    measured = [name for name in tidy if name.startswith(MEASURES) or name.endswith("_accuracy")]
    table = groups[measured].mean()
    table.insert(0, "seeds", groups.seed.nunique())
    return table.reset_index()


def by_variant(tidy: pd.DataFrame) -> pd.DataFrame:
    """Summarize the comparisons over layers, datasets and seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    DataFrame
        One row for each (experiment, variant), in the order of `tidy`: the numbers of ``networks`` and of ``layers`` in
        all of them, the mean accuracies, and the mean and standard deviation over layers of each correlation and
        cosine, the latter in a column that ends in ``_std``.
    """
    rows = []
    for (experiment, variant), group in tidy.groupby(["experiment", "variant"], sort=False):
        networks = group.drop_duplicates(["dataset", "seed"])
        row = {"experiment": experiment, "variant": variant, "networks": len(networks), "layers": len(group)}
        row |= {name: networks[name].mean() for name in ("validation_accuracy", "test_accuracy")}
        for name in tidy.columns[tidy.columns.str.startswith(MEASURES)]:
            row |= {name: group[name].mean(), f"{name}_std": group[name].std(ddof=1)}
        rows.append(row)
    return pd.DataFrame(rows)


def to_markdown(tidy: pd.DataFrame) -> str:
    """Return two tables in Markdown: how NFM and AGOP align in each network and in each layer.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.
    """
    variants, layers = by_variant(tidy), by_layer(tidy)
    networks = variants[["experiment", "variant", "networks"]].copy()
    for part in ("validation", "test"):
        accuracy = variants[f"{part}_accuracy"]
        if accuracy.notna().any():
            networks[f"{part} accuracy"] = accuracy.map(lambda value: "" if pd.isna(value) else f"{value:.2%}")
    correlations = layers[["experiment", "variant", "dataset", "layer", "shape"]].rename(columns={"shape": "patch"})
    for pair, heading in PAIRS.items():
        networks[heading] = _cells(variants, pair, variants[f"correlation_{pair}_std"])
        correlations[heading] = _cells(layers, pair)
    return (
        "Pearson correlation of the entries of two matrices; in parentheses their cosine, which does not subtract the "
        "means. NFM and AGOP are those of the trained network, unless they are called initial; √ is the matrix square "
        "root. Accuracies are those after the last epoch, averaged over networks.\n\n"
        "Mean ± standard deviation over layers, datasets and seeds:\n\n"
        f"{networks.to_markdown(index=False, disable_numparse=True)}\n\n"
        "By layer, mean over seeds:\n\n"
        f"{correlations.to_markdown(index=False, disable_numparse=True)}\n"
    )


def _cells(means: pd.DataFrame, pair: str, spreads: Iterable[float] = repeat(math.nan)) -> list[str]:
    """Return the correlations of a pair with their spreads, and the cosines: ``0.912 ± 0.051 (0.934)``."""
    values = zip(means[f"correlation_{pair}"], spreads, means[f"cosine_{pair}"], strict=False)
    return [
        f"{or_dash(mean_and_spread(correlation, spread, '.3f'))} ({or_dash(f'{cosine:.3f}')})"
        for correlation, spread, cosine in values
    ]
