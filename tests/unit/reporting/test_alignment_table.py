"""Tables of the ansatz: averages over seeds, and over layers."""

import numpy as np
import pandas as pd
import pytest

from ansatz.files.tables import ALIGNMENT
from ansatz.reporting import alignment


@pytest.fixture
def aligned():
    """Two variants, one with two seeds, of two layers each."""
    rows = []
    for number, (variant, seed, layer) in enumerate(
        [("a", 0, "x"), ("a", 0, "y"), ("a", 1, "x"), ("a", 1, "y"), ("b", 0, "x"), ("b", 0, "y")]
    ):
        measures = {"correlation": number / 10, "cosine": 0.4 + number / 10}
        values = {name: measures[name.partition("_")[0]] for name in ALIGNMENT if name.partition("_")[0] in measures}
        case = {"experiment": "e", "variant": variant, "dataset": "d", "seed": seed, "layer": layer, "shape": "3x3x3"}
        accuracy = {"validation_accuracy": 0.5 + seed / 10, "test_accuracy": np.nan}
        rows.append(case | {"images": 8, "estimator": "exact", "standard_error": 0.0} | accuracy | values)
    return pd.DataFrame(rows)


def test_what_was_compared_is_averaged_by_layer(aligned):
    table = alignment.by_layer(aligned)
    assert table[["variant", "layer", "seeds"]].to_numpy().tolist() == [
        ["a", "x", 2],
        ["a", "y", 2],
        ["b", "x", 1],
        ["b", "y", 1],
    ]
    assert table.correlation_nfm_agop.tolist() == pytest.approx([0.1, 0.2, 0.4, 0.5])


def test_a_network_is_summed_up_by_variant_and_seeds(aligned):
    a, b = alignment.by_variant(aligned).itertuples()
    assert (a.networks, a.layers, b.networks, b.layers) == (2, 4, 1, 2)
    assert (a.cosine_nfm_agop, b.correlation_nfm_agop) == pytest.approx((0.55, 0.45))
    assert a.cosine_nfm_agop_std == pytest.approx(np.std([0, 0.1, 0.2, 0.3], ddof=1))
    assert a.validation_accuracy == pytest.approx(0.55)  # of networks, not of layers


def test_the_table_leaves_out_accuracies_that_were_not_measured(aligned):
    text = alignment.to_markdown(aligned)
    assert "| 55.00%" in text
    assert "test accuracy" not in text


def test_the_table_says_which_measure_it_gives(aligned):
    """Pearson's correlation everywhere, and the cosine beside it."""
    text = alignment.to_markdown(aligned)
    assert text.startswith("Pearson correlation of the entries of two matrices; in parentheses their cosine")
    networks, layers = text.split("By layer")
    assert "0.150 ± 0.129 (0.550)" in networks
    assert "0.100 (0.500)" in layers
    undefined = alignment.to_markdown(aligned.assign(correlation_nfm_initial_nfm=np.nan))
    assert "– (0.550)" in undefined, "the correlation with a matrix that is constant"
