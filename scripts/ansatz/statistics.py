"""From runs to the table: best validation accuracy, its spread over seeds, and differences in pairs."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ansatz.store import Evolution

BASELINE = "kaiming_uniform"
BASELINE_MACHINE = "cntk"


def summarize(runs: pd.DataFrame, baseline: str = BASELINE, level: float = 0.95) -> pd.DataFrame:
    """Summarize runs over seeds.

    Parameters
    ----------
    runs : DataFrame
        One row a run, as in ``runs.csv``.
    baseline : str
        The initializer that others are compared with, seed by seed.
    level : float
        Of the confidence interval of the mean paired difference (Student's t).

    Returns
    -------
    DataFrame
        A row a (dataset, initializer), in the order of their first run: ``seeds``, ``diverged`` (how many of them),
        ``validation_mean`` and ``validation_std`` of the best validation accuracy and ``test_mean``, ``test_std`` of
        the test accuracy at that epoch, over the runs that did not diverge; ``difference`` to the baseline over the
        seeds that neither diverged in, with ``difference_low`` and ``difference_high``. Accuracies in 0..1; standard
        deviations with n - 1; NaN where there are too few runs.
    """
    rows = []
    for (dataset, initializer), group in runs.groupby(["dataset", "initializer"], sort=False):
        whole = group[group.status != "diverged"]
        reference = runs[(runs.dataset == dataset) & (runs.initializer == baseline) & (runs.status != "diverged")]
        row = {"dataset": dataset, "initializer": initializer, "seeds": len(group), "diverged": len(group) - len(whole)}
        for name, column in (("validation", "best_validation_accuracy"), ("test", "test_accuracy")):
            values = whole[column].astype(float)
            row |= {f"{name}_mean": values.mean(), f"{name}_std": values.std(ddof=1)}
        pairs = whole.merge(reference, on="seed", suffixes=("", "_baseline"))
        differences = pairs.best_validation_accuracy - pairs.best_validation_accuracy_baseline
        if initializer == baseline:
            differences = differences[:0]
        low, high = mean_interval(differences.to_numpy(float), level)
        row |= {"difference": differences.mean(), "difference_low": low, "difference_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return Student's confidence interval of the mean of `values` (n,); NaN for fewer than two."""
    n = len(values)
    if n < 2:
        return np.nan, np.nan
    half = student.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return values.mean() - half, values.mean() + half


def with_published(summary: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Add the column ``published``: the sources' best validation accuracy in 0..1, NaN where they have none.

    Parameters
    ----------
    summary : DataFrame
        As from `summarize`.
    published : DataFrame
        A row an initializer, a column a dataset, in percent.
    """
    long = published.melt("initializer", var_name="dataset", value_name="published")
    long["published"] /= 100
    return summary.merge(long, on=["dataset", "initializer"], how="left")


def over_seeds(tidy: pd.DataFrame) -> pd.DataFrame:
    """Average what was compared over seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    DataFrame
        A row a (experiment, variant, dataset, layer), in their order: how many ``seeds``, and the means of all that is
        measured.
    """
    groups = tidy.groupby(["experiment", "variant", "dataset", "layer", "shape"], sort=False)
    measured = [name for name in tidy if name.startswith(("correlation_", "cosine_")) or name.endswith("_accuracy")]
    table = groups[measured].mean()
    table.insert(0, "seeds", groups.seed.nunique())
    return table.reset_index()


def over_layers(tidy: pd.DataFrame) -> pd.DataFrame:
    """Summarize what was compared over layers, datasets and seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``ansatz/tidy.csv``.

    Returns
    -------
    DataFrame
        A row a (experiment, variant), in their order: ``networks``, ``layers`` (of all of them), means of the
        accuracies, and mean and standard deviation over layers of each correlation and cosine, the latter with the
        ending ``_std``.
    """
    rows = []
    for (experiment, variant), group in tidy.groupby(["experiment", "variant"], sort=False):
        networks = group.drop_duplicates(["dataset", "seed"])
        row = {"experiment": experiment, "variant": variant, "networks": len(networks), "layers": len(group)}
        row |= {name: networks[name].mean() for name in ("validation_accuracy", "test_accuracy")}
        for name in tidy.columns[tidy.columns.str.startswith(("correlation_", "cosine_"))]:
            row |= {name: group[name].mean(), f"{name}_std": group[name].std(ddof=1)}
        rows.append(row)
    return pd.DataFrame(rows)


def over_machines(tidy: pd.DataFrame, baseline: str = BASELINE_MACHINE) -> pd.DataFrame:
    """Summarize kernel machines over seeds.

    Parameters
    ----------
    tidy : DataFrame
        As ``kernels/tidy.csv``.
    baseline : str
        The machine that others are compared with, seed by seed.

    Returns
    -------
    DataFrame
        A row a (experiment, dataset, noise, machine, layers), in their order: ``seeds``, ``train`` and ``test`` images,
        mean and standard deviation of the ``accuracy``, mean ``seconds``, and the mean ``difference`` to the baseline
        with its 95 % interval (Student's t), ``difference_low`` and ``difference_high``; NaN where there is none.
    """
    keys = ["experiment", "dataset", "noise", "machine", "layers"]
    rows = []
    for values, group in tidy.groupby(keys, sort=False):
        row = dict(zip(keys, values, strict=True))
        same = (tidy[keys[:3]] == list(values[:3])).all(axis=1)
        reference = tidy[same & (tidy.machine == baseline)].set_index("seed").accuracy
        differences = (group.set_index("seed").accuracy - reference).dropna().to_numpy()
        low, high = mean_interval(differences) if row["machine"] != baseline else (np.nan, np.nan)
        row |= {"seeds": len(group), "train": group.train.iloc[0], "test": group.test.iloc[0]}
        row |= {"accuracy": group.accuracy.mean(), "accuracy_std": group.accuracy.std(ddof=1)}
        row |= {"seconds": group.seconds.mean(), "difference": differences.mean() if len(differences) else np.nan}
        rows.append(row | {"difference_low": low, "difference_high": high})
    return pd.DataFrame(rows)


# ------------------------------------------------------------------------------------------------- as a person reads it
HEADINGS = {
    "validation": "best validation",
    "test": "test",
    "difference": f"Δ to {BASELINE} [95 %]",
    "published": "published (VGG11, 224 px)",
}
LATEX = str.maketrans({"_": r"\_", "%": r"\%", "Δ": r"$\Delta$", "±": r"$\pm$"})


def layout(summary: pd.DataFrame, bold: str = "**{}**", plus_minus: str = "±", minus: str = "−") -> pd.DataFrame:
    """Lay the summary out as a table: rows initializers, columns datasets, accuracies in percent.

    Parameters
    ----------
    summary : DataFrame
        As from `with_published`.
    bold : str
        A format for the best validation accuracy of each dataset.
    plus_minus, minus : str
        As the target language writes them.

    Returns
    -------
    DataFrame
        Strings; index the initializers; columns (dataset, what), without those that hold nothing.
    """
    columns = {}
    for dataset, group in summary.groupby("dataset", sort=False):
        group = group.set_index("initializer")
        best = group.validation_mean.where(group.diverged < group.seeds).max()
        validation = {
            name: bold.format(cell) if row.validation_mean == best else cell
            for name, row in group.iterrows()
            for cell in [_accuracy(row, "validation", plus_minus)]
        }
        columns[dataset, "validation"] = pd.Series(validation)
        columns[dataset, "test"] = pd.Series({n: _accuracy(row, "test", plus_minus) for n, row in group.iterrows()})
        columns[dataset, "difference"] = pd.Series({n: _difference(row, minus) for n, row in group.iterrows()})
        columns[dataset, "published"] = group.published.map(lambda v: "" if pd.isna(v) else f"{100 * v:.2f}")
    table = pd.DataFrame(columns).fillna("")
    return table.loc[:, (table != "").any()].rename_axis("initializer")


def _accuracy(row: pd.Series, part: str, plus_minus: str) -> str:
    if row.diverged == row.seeds:
        return "diverged" if part == "validation" else ""
    mean, std = 100 * row[f"{part}_mean"], 100 * row[f"{part}_std"]
    if np.isnan(mean):
        return ""
    found = f"{mean:.2f}" + ("" if np.isnan(std) else f" {plus_minus} {std:.2f}")
    return found + (f" ({row.diverged} of {row.seeds} diverged)" if row.diverged and part == "validation" else "")


def _difference(row: Any, minus: str, digits: int = 2) -> str:
    if np.isnan(row.difference):
        return ""
    keys = ("difference", "difference_low", "difference_high")
    mean, low, high = (f"{100 * getattr(row, key):+.{digits}f}".replace("-", minus) for key in keys)
    return mean if np.isnan(row.difference_low) else f"{mean} [{low}, {high}]"


def caption(resources: pd.DataFrame) -> str:
    """Say what the table shows, and what its runs took; `resources` as in ``resources.csv``."""
    hours, gpu_hours = resources.seconds.sum() / 3600, resources.gpu_seconds.sum() / 3600
    memory = resources.memory_mb.max()
    largest = f"; the largest took {memory / 1000:.1f} GB of memory" if memory > 0 else ""
    took = f"{len(resources)} runs took {hours:.2f} hours of jobs, {gpu_hours:.2f} GPU hours{largest}."
    return f"Accuracies in percent, mean ± standard deviation over seeds; differences in pairs of seeds. {took}"


def to_markdown(summary: pd.DataFrame, caption: str = "") -> str:
    """Return the table in Markdown, the best validation accuracy of each dataset in bold, over its caption."""
    table = layout(summary)
    table.columns = pd.Index([f"{dataset}: {HEADINGS[what]}" for dataset, what in table.columns])
    return table.to_markdown(disable_numparse=True) + "\n" + (f"\n{caption}\n" if caption else "")


def to_latex(summary: pd.DataFrame, caption: str = "") -> str:
    """Return the table in LaTeX (package booktabs), the best validation accuracy of each dataset in bold."""
    table = layout(summary, bold=r"\textbf{{{}}}", plus_minus=r"$\pm$", minus="$-$")

    def escaped(text: str) -> str:
        return text.translate(LATEX)

    table.index = table.index.map(escaped)
    table.columns = pd.MultiIndex.from_tuples([(escaped(d), escaped(HEADINGS[what])) for d, what in table.columns])
    table.index.name = None
    layout_of = {"hrules": True, "multicol_align": "c", "column_format": "l" + "r" * table.shape[1]}
    return table.style.to_latex(**layout_of, caption=escaped(caption) if caption else None)


# What was compared, as a person reads it.
PAIRS = {
    "nfm_agop": "NFM – AGOP",
    "nfm_root_agop": "NFM – √AGOP",
    "nfm_initial_nfm": "NFM – initial NFM",
    "initial_nfm_initial_agop": "NFM – AGOP, initial",
}


def alignment_to_markdown(tidy: pd.DataFrame) -> str:
    """Return in Markdown how NFM and AGOP align, by network and by layer; `tidy` as ``ansatz/tidy.csv``."""
    summary, layers = over_layers(tidy), over_seeds(tidy)
    networks = summary[["experiment", "variant", "networks"]].copy()
    for part in ("validation", "test"):
        if summary[f"{part}_accuracy"].notna().any():
            networks[f"{part} accuracy"] = summary[f"{part}_accuracy"].map(lambda v: "" if pd.isna(v) else f"{v:.2%}")
    correlations = layers[["experiment", "variant", "dataset", "layer", "shape"]].rename(columns={"shape": "patch"})
    for pair, heading in PAIRS.items():
        means, spreads = summary[f"cosine_{pair}"], summary[f"cosine_{pair}_std"].fillna(0)
        networks[heading] = [_or_dash(f"{mean:.3f} ± {std:.3f}") for mean, std in zip(means, spreads, strict=True)]
        correlations[heading] = layers[f"correlation_{pair}"].map("{:.3f}".format).map(_or_dash)
    return (
        "NFM and AGOP are the trained network's, unless they are called initial; √ is the matrix square root. "
        "Accuracies are those after the last epoch, as means over networks.\n\n"
        "Cosine of the two, over all entries, mean ± standard deviation over layers, datasets and seeds:\n\n"
        f"{networks.to_markdown(index=False, disable_numparse=True)}\n\n"
        "Pearson correlation (the cosine of what is left without the mean entry) by layer, mean over seeds:\n\n"
        f"{correlations.to_markdown(index=False, disable_numparse=True)}\n"
    )


def _or_dash(cell: str) -> str:
    """Return the cell, or a dash where nothing is known, as of a matrix that is zero."""
    return "–" if cell.startswith("nan") else cell


def evolved(metrics: pd.DataFrame, evolution: Evolution, published: pd.DataFrame) -> pd.DataFrame:
    """Put a training's accuracies beside how far its features have come.

    Parameters
    ----------
    metrics : DataFrame
        As ``metrics.csv``.
    evolution : Evolution
    published : DataFrame
        The sources' accuracies, in percent, by epoch.

    Returns
    -------
    DataFrame
        A row an epoch, from 0 on: ``train_accuracy`` (running), ``train_eval_accuracy``, ``validation_accuracy``;
        ``published_train`` and ``published_validation``, in 0..1; and means over layers of the correlations,
        ``nfm_final_nfm``, ``agop_final_agop``, ``nfm_agop``.
    """
    curves = evolution.curves
    table = pd.DataFrame({"epoch": curves["epoch"]})
    for part in ("train_eval", "validation"):
        table[f"{part}_accuracy"] = curves[f"{part}_accuracy"]
    for pair in EVOLVED_PAIRS:
        table[pair] = np.mean([followed.correlations[pair] for followed in evolution.layers.values()], axis=0)
    table = table[table.epoch % 1 == 0].astype({"epoch": int})
    table = table.merge(metrics[["epoch", "train_accuracy"]], on="epoch", how="left")
    columns = {f"{part}_accuracy": f"published_{part}" for part in ("train", "validation")}
    percent = published[["epoch", *columns]].rename(columns=columns).set_index("epoch") / 100
    return table.merge(percent.reset_index(), on="epoch", how="left")


EVOLVED_PAIRS = {"nfm_final_nfm": "NFM – final NFM", "agop_final_agop": "AGOP – final AGOP", "nfm_agop": "NFM – AGOP"}


def scores_to_markdown(summary: pd.DataFrame) -> str:
    """Return in Markdown how accurate machines are; `summary` as of `over_machines`."""
    table = summary[["experiment", "dataset", "noise", "machine", "layers", "train", "test", "seeds"]].copy()
    table["accuracy"] = [
        f"{100 * row.accuracy:.1f}" + (f" ± {100 * row.accuracy_std:.1f}" if row.seeds > 1 else "")
        for row in summary.itertuples()
    ]
    table["Δ CNTK [95 %]"] = [
        "" if row.machine == BASELINE_MACHINE else _difference(row, "−", digits=1) for row in summary.itertuples()
    ]
    table["seconds"] = summary.seconds.map("{:.1f}".format)
    return (
        "Accuracy on the test images in percent, mean ± standard deviation over seeds; layers are those that learn "
        "features; seconds are those of learning, for all layers of a machine together.\n\n"
        f"{table.to_markdown(index=False, disable_numparse=True)}\n"
    )


def evolution_to_markdown(table: pd.DataFrame) -> str:
    """Return the table of `evolved` in Markdown, accuracies in percent."""
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
    for pair, heading in EVOLVED_PAIRS.items():
        shown[heading] = table[pair].map("{:.3f}".format).map(_or_dash)
    return (
        f"{shown.to_markdown(index=False, disable_numparse=True)}\n\n"
        "Accuracies in percent, train as a running mean over the epoch; correlations as means over layers.\n"
    )
