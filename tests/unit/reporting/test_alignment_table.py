"""Tables of the ansatz: averages over seeds, and over layers."""

import numpy as np
import pandas as pd
import pytest

from ansatz.files.tables import ALIGNMENT, POWERS
from ansatz.reporting import alignment
from ansatz.reporting.formatting import short


@pytest.fixture
def aligned():
    """Two variants, one with two seeds, of two layers each."""
    rows = []
    for number, (variant, seed, layer) in enumerate(
        [("a", 0, "x"), ("a", 0, "y"), ("a", 1, "x"), ("a", 1, "y"), ("b", 0, "x"), ("b", 0, "y")]
    ):
        measures = {"correlation": number / 10, "cosine": 0.4 + number / 10, "power": number / 20}
        values = {name: measures[name.partition("_")[0]] for name in ALIGNMENT if name.partition("_")[0] in measures}
        case = {"experiment": "e", "variant": variant, "dataset": "d", "seed": seed, "layer": layer, "shape": "3x3x3"}
        case |= {"head": np.nan}
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


def test_the_best_power_is_that_of_the_largest_mean_correlation(aligned):
    aligned.loc[aligned.layer == "x", "power_0.25"] = 0.9
    aligned.loc[(aligned.layer == "x") & (aligned.seed == 1), "power_0.5"] = 1  # of one seed alone
    table = alignment.by_layer(aligned)
    assert table.best_power[0] == 0.25
    assert table.correlation_best_power[0] == pytest.approx(0.9)
    aligned[[f"power_{power}" for power in POWERS]] = np.nan
    assert alignment.by_layer(aligned).best_power.isna().all()
    assert "(α" not in alignment.to_markdown(aligned)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        ("encoder.layers.encoder_layer_3.self_attention.out_proj", "3.out_proj"),
        ("encoder.layers.encoder_layer_0.mlp.3", "0.mlp.3"),
        ("features.18", "features.18"),
        ("layer1.0.conv1", "layer1.0.conv1"),
        ("encoder.layers.final.projection", "encoder.layers.final.projection"),
    ],
)
def test_long_names_of_layers_are_shortened(layer, name):
    assert short(layer) == name


def test_heads_have_tables_of_their_own(aligned):
    """Layers are averages without the rows of heads; layers of one kind are summed up over blocks."""
    heads = [aligned.assign(layer="b.0.q", head=np.nan), *(aligned.assign(layer="b.0.q", head=h) for h in (1.0, 2.0))]
    both = pd.concat([*heads, *(part.assign(layer="b.1.q") for part in heads)], ignore_index=True)
    assert alignment.by_layer(both).layer.unique().tolist() == ["b.0.q", "b.1.q"]
    assert alignment.by_variant(both).layers.tolist() == [8, 4]
    assert alignment.by_head(both)[["block", "kind", "head"]].drop_duplicates().to_numpy().tolist() == [
        [block, "q", head] for block in (0, 1) for head in (1, 2)
    ]
    kinds = alignment.by_kind(both)
    assert kinds[["variant", "kind", "layers"]].to_numpy().tolist() == [["a", "q", 8], ["b", "q", 4]]
    text = alignment.to_markdown(both)
    assert "heads shuffled" in text
    assert "By kind of layer" in text
    assert "By kind of layer" not in alignment.to_markdown(aligned)


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
    networks, layers = text.partition("By layer")[::2]
    assert "0.150 ± 0.129 (0.550)" in networks
    assert "0.100 (0.500)" in layers
    undefined = alignment.to_markdown(aligned.assign(correlation_nfm_initial_nfm=np.nan))
    assert "– (0.550)" in undefined, "the correlation with a matrix that is constant"
