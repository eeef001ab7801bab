"""Summaries and tables of the ansatz: how NFM and AGOP align."""

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
        cosines = zip(variants[f"cosine_{pair}"], variants[f"cosine_{pair}_std"].fillna(0), strict=True)
        networks[heading] = [or_dash(mean_and_spread(mean, spread, ".3f")) for mean, spread in cosines]
        correlations[heading] = layers[f"correlation_{pair}"].map("{:.3f}".format).map(or_dash)
    return (
        "NFM and AGOP are those of the trained network, unless they are called initial; √ is the matrix square root. "
        "Accuracies are those after the last epoch, averaged over networks.\n\n"
        "Cosine of the two matrices, over all entries; mean ± standard deviation over layers, datasets and seeds:\n\n"
        f"{networks.to_markdown(index=False, disable_numparse=True)}\n\n"
        "Pearson correlation of their entries (the cosine after subtracting the means), by layer; mean over seeds:\n\n"
        f"{correlations.to_markdown(index=False, disable_numparse=True)}\n"
    )
