"""Tables of the evolution of features during a training."""

import numpy as np
import pandas as pd

from ansatz.files.evolution import Evolution
from ansatz.reporting.formatting import or_dash

# The pairs of matrices whose correlation is followed through a training -> their headings.
PAIRS = {"nfm_final_nfm": "NFM – final NFM", "agop_final_agop": "AGOP – final AGOP", "nfm_agop": "NFM – AGOP"}


def by_epoch(metrics: pd.DataFrame, evolution: Evolution, published: pd.DataFrame) -> pd.DataFrame:
    """Combine a training's accuracies with the correlations of its features.

    Parameters
    ----------
    metrics : DataFrame
        As ``metrics.csv``.
    evolution : Evolution
        The snapshots of the training.
    published : DataFrame
        Published accuracies of the same network and dataset, in percent, by epoch.

    Returns
    -------
    DataFrame
        One row for each epoch, from 0 on: ``train_accuracy`` (running mean), ``train_eval_accuracy``,
        ``validation_accuracy``, ``published_train`` and ``published_validation``, all in 0..1; and the correlations
        ``nfm_final_nfm``, ``agop_final_agop`` and ``nfm_agop``, averaged over layers.
    """
    curves = evolution.curves
    table = pd.DataFrame({"epoch": curves["epoch"]})
    for part in ("train_eval", "validation"):
        table[f"{part}_accuracy"] = curves[f"{part}_accuracy"]
    for pair in PAIRS:
        table[pair] = np.mean([layer.correlations[pair] for layer in evolution.layers.values()], axis=0)
    table = table[table.epoch % 1 == 0].astype({"epoch": int})
    table = table.merge(metrics[["epoch", "train_accuracy"]], on="epoch", how="left")
    columns = {f"{part}_accuracy": f"published_{part}" for part in ("train", "validation")}
    percent = published[["epoch", *columns]].rename(columns=columns).set_index("epoch") / 100
    return table.merge(percent.reset_index(), on="epoch", how="left")


def to_markdown(table: pd.DataFrame) -> str:
    """Return the table of `by_epoch` in Markdown, accuracies in percent."""
    headings = {
        "train_accuracy": "train",
        "published_train": "train (published)",
        "validation_accuracy": "validation",
        "published_validation": "validation (published)",
    }
    shown = table[["epoch"]].copy()
    for column, heading in headings.items():
        if table[column].notna().any():
            shown[heading] = table[column].map(lambda value: "" if pd.isna(value) else f"{100 * value:.2f}")
    for pair, heading in PAIRS.items():
        shown[heading] = table[pair].map("{:.3f}".format).map(or_dash)
    return (
        f"{shown.to_markdown(index=False, disable_numparse=True)}\n\n"
        "Accuracies in percent; train is a running mean over the epoch. Correlations are means over layers.\n"
    )
