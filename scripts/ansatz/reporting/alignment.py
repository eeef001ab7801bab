"""Summaries and tables of the ansatz: how NFM and AGOP align."""

import math
from collections.abc import Iterable, Mapping
from itertools import repeat

import pandas as pd

from ansatz.files.tables import POWERS
from ansatz.reporting.formatting import BLOCK, mean_and_spread, or_dash

PAIRS = {
    "nfm_agop": "NFM – AGOP",
    "nfm_root_agop": "NFM – √AGOP",
    "nfm_initial_nfm": "NFM – initial NFM",
    "initial_nfm_initial_agop": "NFM – AGOP, initial",
}  # the pairs of matrices that tables and figures show -> their headings
CONTROLS = {
    "nfm_root_nfm": "NFM – √NFM",
    "nfm_shuffled_agop": "heads shuffled",
    "centred_nfm_agop": "centred NFM – AGOP",
    "nfm_fact": "FACT",
}  # further pairs
POWER = "power_"  # what the columns begin with that compare NFM with powers of AGOP
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
        One row for each (experiment, variant, dataset, layer), in the order of `tidy`: the number of ``seeds``, the
        means of accuracies, correlations and cosines, and the power of AGOP whose correlation with NFM is the largest,
        ``best_power`` and ``correlation_best_power``.
    """
    groups = tidy[tidy["head"].isna()].groupby(["experiment", "variant", "dataset", "layer", "shape"], sort=False)
    measured = [name for name in tidy if name.startswith((*MEASURES, POWER)) or name.endswith("_accuracy")]
    table = groups[measured].mean()
    table.insert(0, "seeds", groups.seed.nunique())
    powers = table[[f"{POWER}{power}" for power in POWERS]]
    best = [POWERS[row.argmax()] for row in powers.fillna(-1).to_numpy()]
    table["best_power"] = pd.Series(best, table.index).where(powers.notna().any(axis=1))
    table["correlation_best_power"] = powers.max(axis=1)
    return table.drop(columns=powers.columns).reset_index()


def by_head(tidy: pd.DataFrame) -> pd.DataFrame:
    """Average the correlations in the heads of attentions over seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    DataFrame
        One row for each (experiment, variant, dataset, layer, head); ``block`` is the number in the layer's name and
        ``kind`` what follows it.
    """
    heads = tidy[tidy["head"].notna()]
    keys = ["experiment", "variant", "dataset", "layer", "head"]
    pairs = [f"correlation_{pair}" for pair in (*PAIRS, *CONTROLS)]
    table = heads.groupby(keys, sort=False)[pairs].mean().reset_index()
    return _with_kind(table)


def by_kind(tidy: pd.DataFrame) -> pd.DataFrame:
    """Summarize the comparisons of layers that stand at the same place in their blocks: queries, keys, MLPs.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    DataFrame
        One row for each (experiment, variant, kind) of the networks that have heads: ``layers`` and the mean of each
        correlation and cosine over blocks, datasets and seeds, with the standard deviation in a column that ends in
        ``_std``.
    """
    keys = pd.MultiIndex.from_frame(tidy[["experiment", "variant"]])
    with_heads = keys.isin(keys[tidy["head"].notna()])
    table = _with_kind(tidy[tidy["head"].isna() & with_heads])
    measured = [name for name in table if name.startswith(MEASURES)]
    groups = table.groupby(["experiment", "variant", "kind"], sort=False)
    summary = groups[measured].mean().join(groups[measured].std(ddof=1).add_suffix("_std"))
    summary.insert(0, "layers", groups.size())
    return summary.reset_index()


def _with_kind(table: pd.DataFrame) -> pd.DataFrame:
    parts = [BLOCK.match(layer) for layer in table.layer]
    blocks = [int(part[1]) if part else math.nan for part in parts]
    kinds = [part[2] if part else layer for part, layer in zip(parts, table.layer, strict=True)]
    return table.assign(block=blocks, kind=kinds)


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
    layers = tidy[tidy["head"].isna()]
    for (experiment, variant), group in layers.groupby(["experiment", "variant"], sort=False):
        networks = group.drop_duplicates(["dataset", "seed"])
        row = {"experiment": experiment, "variant": variant, "networks": len(networks), "layers": len(group)}
        row |= {name: networks[name].mean() for name in ("validation_accuracy", "test_accuracy")}
        for name in tidy.columns[tidy.columns.str.startswith(MEASURES)]:
            row |= {name: group[name].mean(), f"{name}_std": group[name].std(ddof=1)}
        rows.append(row)
    return pd.DataFrame(rows)


def to_markdown(tidy: pd.DataFrame) -> str:
    """Return tables in Markdown: how NFM and AGOP align in each network, in each layer, and by kind in transformers.

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
    _add(networks, variants, PAIRS | CONTROLS)
    names = layers[["experiment", "variant", "dataset", "layer", "shape"]].rename(columns={"shape": "patch"})
    correlations, controls = names.copy(), names.drop(columns="patch")
    _add(correlations, layers, PAIRS)
    correlations["best power"] = [
        f"{value:.3f} (α = {power:g})" if pd.notna(power) else or_dash("nan")
        for value, power in zip(layers.correlation_best_power, layers.best_power, strict=True)
    ]
    _add(controls, layers, CONTROLS)
    text = (
        "Pearson correlation of the entries of two matrices; in parentheses their cosine, which does not subtract the "
        "means. NFM and AGOP are those of the trained network, unless they are called initial; √ is the matrix square "
        "root. Accuracies are those after the last epoch, averaged over networks.\n\n"
        "Mean ± standard deviation over layers, datasets and seeds:\n\n"
        f"{_table(networks)}\n\n"
        "By layer, mean over seeds; the best power is the α for which NFM correlates most with AGOP^α:\n\n"
        f"{_table(correlations)}\n\n"
        "Controls, by layer. NFM – √NFM is what NFM – √AGOP would be if the gradients were isotropic; NFM – AGOP would "
        "then be 1. The centred NFM is that of what training added to the initial weights. FACT compares NFM with "
        "-W.T (gradient of the loss by W), to which it is proportional where a network has converged with weight decay"
        f"{'; heads shuffled compares each head with the AGOP of the next' if tidy['head'].notna().any() else ''}:\n\n"
        f"{_table(controls)}\n"
    )
    if tidy["head"].notna().any():
        kinds = by_kind(tidy)
        shown = kinds[["experiment", "variant", "kind", "layers"]].copy()
        _add(shown, kinds, PAIRS | CONTROLS)
        text += f"\nBy kind of layer, mean ± standard deviation over blocks, datasets and seeds:\n\n{_table(shown)}\n"
    return text


def _add(shown: pd.DataFrame, means: pd.DataFrame, pairs: Mapping[str, str]) -> None:
    """Add a column for each pair that was compared anywhere."""
    for pair, heading in pairs.items():
        if means[f"correlation_{pair}"].notna().any() or pair in PAIRS:
            shown[heading] = _cells(means, pair, means.get(f"correlation_{pair}_std", repeat(math.nan)))


def _table(shown: pd.DataFrame) -> str:
    return shown.to_markdown(index=False, disable_numparse=True)


def _cells(means: pd.DataFrame, pair: str, spreads: Iterable[float] = repeat(math.nan)) -> list[str]:
    """Return the correlations of a pair with their spreads, and the cosines: ``0.912 ± 0.051 (0.934)``."""
    values = zip(means[f"correlation_{pair}"], spreads, means[f"cosine_{pair}"], strict=False)
    return [
        or_dash("nan")
        if math.isnan(correlation) and math.isnan(cosine)
        else f"{or_dash(mean_and_spread(correlation, spread, '.3f'))} ({or_dash(f'{cosine:.3f}')})"
        for correlation, spread, cosine in values
    ]
