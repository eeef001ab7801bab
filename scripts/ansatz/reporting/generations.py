"""Tables of chains of sources, each of which starts from the features of the one before."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ansatz.files.tables import RUN
from ansatz.reporting.statistics import mean_interval

MEASURES = {
    "best_validation_accuracy": "best validation accuracy",
    "area": "mean over epochs",
    "first_accuracy": "after one epoch",
}  # what is compared with the baseline -> its heading
Chains = Mapping[str, Sequence[str]]


def learned(
    runs: pd.DataFrame, speed: pd.DataFrame, chains: Chains, drawing: Sequence[Mapping[str, str]]
) -> pd.DataFrame:
    """Compare what is learned from each generation of sources with the baseline.

    Parameters
    ----------
    runs, speed : DataFrame
        As ``runs.csv`` and ``speed.csv``.
    chains : mapping of str to sequence of str
        The name of a chain's last source -> the names of all its sources, from the first on.
    drawing : sequence of mapping
        The initializers that draw from a source: their ``initializer`` (the label), ``source``, and ``kind`` (the label
        without the source).

    Returns
    -------
    DataFrame
        One row for each (chain, generation, kind, dataset, measure), the latter one of `MEASURES`: the mean
        ``difference`` to the ``baseline`` over pairs of runs with the same seed, its 95 % interval (Student's t),
        ``low`` and ``high``, and the number of ``seeds`` for which neither run diverged. Accuracies are in 0..1.
    """
    keys = list(RUN)
    finished = speed[speed.status != "diverged"].merge(runs[[*keys, "best_validation_accuracy"]], on=keys)
    values = finished.melt([*keys, "baseline"], [*MEASURES], "measure")
    pairs = values.merge(
        values[values.initializer == values.baseline].drop(columns=["initializer", "baseline"]),
        on=["dataset", "seed", "measure"],
        suffixes=("", "_of_baseline"),
    )
    pairs["difference"] = pairs.value - pairs.value_of_baseline
    differences = pairs.groupby(["initializer", "dataset", "measure", "baseline"], sort=False).difference
    summary = differences.agg(
        difference="mean",
        low=lambda values: mean_interval(values.to_numpy())[0],
        high=lambda values: mean_interval(values.to_numpy())[1],
        seeds="count",
    )
    drawn = _generations(chains).drop(columns=["previous", "first"]).merge(pd.DataFrame(drawing), on="source")
    return drawn.merge(summary.reset_index(), on="initializer")


def features(spectra: pd.DataFrame, alignment: pd.DataFrame, chains: Chains) -> pd.DataFrame:
    """Follow the NFM of each layer over generations of sources.

    Parameters
    ----------
    spectra, alignment : DataFrame
        As ``sources/spectra.csv`` and ``sources/alignment.csv``.
    chains : mapping of str to sequence of str
        As for `learned`.

    Returns
    -------
    DataFrame
        One row for each (chain, generation, layer): the ``effective_rank`` of the source's NFM, and its Pearson
        correlations with those of the generation before, ``correlation_previous``, and of the first,
        ``correlation_first``, which are NaN in the first generation.
    """
    nfm = spectra[spectra.kind == "nfm"].drop_duplicates(["source", "layer"])
    table = _generations(chains).merge(nfm[["source", "layer", "effective_rank"]], on="source")
    pairs = both_ways(alignment[alignment.kind == "nfm"]).drop(columns="kind")
    for other in ("previous", "first"):
        columns = {"other": other, "correlation": f"correlation_{other}"}
        table = table.merge(pairs.rename(columns=columns), on=["source", "layer", other], how="left")
    return table.drop(columns=["previous", "first"])


def _generations(chains: Chains) -> pd.DataFrame:
    """Return the sources of all chains, each with its ``generation``, and the ``previous`` and ``first`` sources."""
    return pd.DataFrame(
        {"chain": chain, "generation": number, "source": source, "previous": previous, "first": names[0]}
        for chain, names in chains.items()
        for number, (previous, source) in enumerate(zip([None, *names], names, strict=False), 1)
    )


def both_ways(alignment: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of ``sources/alignment.csv``, and each once more with ``source`` and ``other`` exchanged."""
    exchanged = alignment.rename(columns={"source": "other", "other": "source"})
    return pd.concat([alignment, exchanged], ignore_index=True)
