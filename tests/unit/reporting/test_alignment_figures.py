"""Figures of the ansatz: what they show, and that they repeat."""

import numpy as np
import pandas as pd
import pytest

from ansatz.files.tables import ALIGNMENT, POWERS
from ansatz.reporting.alignment import CONTROLS, PAIRS
from ansatz.reporting.figures import alignment
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save


@pytest.fixture
def tidy():
    rng = np.random.default_rng(0)
    measured = [name for name in ALIGNMENT if name.startswith(("correlation_", "cosine_", "power_"))]
    rows = [
        {"experiment": "sweep", "variant": variant, "dataset": dataset, "seed": seed, "layer": layer, "head": np.nan}
        | {name: np.nan if "shuffled" in name else rng.random() for name in measured}
        for variant in ("pooling-max", "pooling-none")
        for dataset in ("svhn", "cifar10", "gtsrb")
        for seed in range(2)
        for layer in ("features.0", "features.2", "features.5")
    ]
    return pd.DataFrame(rows).assign(validation_accuracy=0.9, test_accuracy=0.8)


def test_layers_have_a_panel_for_each_network_and_dataset_and_a_line_for_each_pair(tidy):
    figure = alignment.layers(tidy)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == 6
    assert panels[0].get_title() == "sweep: pooling-max\nsvhn"
    first = tidy[(tidy.variant == "pooling-max") & (tidy.dataset == "svhn")]
    drawn = panels[0].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, first.groupby("layer", sort=False).correlation_nfm_agop.mean())
    assert [text.get_text() for text in figure.legends[0].texts] == [*PAIRS.values(), CONTROLS["nfm_root_nfm"]]


@pytest.fixture
def with_heads(tidy):
    """Networks whose queries and keys have three heads each, in two blocks."""
    rng, first = np.random.default_rng(1), tidy.iloc[0]
    rows = [
        first.to_dict()
        | {"layer": f"blocks.{block}.{letter}", "head": head, "correlation_nfm_agop": rng.uniform(-1, 1)}
        | {"correlation_nfm_shuffled_agop": rng.random()}
        for block in range(2)
        for letter in "qk"
        for head in (np.nan, 1, 2, 3)
    ]
    return pd.concat([tidy, pd.DataFrame(rows)], ignore_index=True)


def test_heads_have_a_map_for_queries_and_for_keys(with_heads):
    maps = [axes for axes in alignment.heads(with_heads).axes if axes.images]
    assert [axes.get_title() for axes in maps] == ["q", "k"]
    drawn = with_heads[with_heads.layer.str.endswith(".k") & with_heads["head"].notna()].correlation_nfm_agop
    np.testing.assert_allclose(maps[1].images[0].get_array(), drawn.to_numpy().reshape(2, 3))
    low, high = maps[1].images[0].get_clim()
    assert (low <= with_heads.correlation_nfm_agop[with_heads["head"].notna()].min(), high) == (True, 1)


def test_lines_join_layers_of_a_kind(tidy):
    """Not a query with what stands behind it in its block."""
    first = tidy[(tidy.variant == "pooling-max") & (tidy.dataset == "svhn")]
    names = [
        f"encoder.layers.encoder_layer_{block}.{kind}" for kind in ("self_attention.q", "mlp.0") for block in (0, 1)
    ]
    rows = pd.concat([first[first.layer == "features.0"].assign(layer=name) for name in sorted(names)])
    axes = alignment.layers(rows).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines[:2]] == [[1, 2], [4, 5]]


def test_heads_are_no_layers(with_heads, tidy):
    """Layers are drawn without the rows of their heads; a pair that was compared anywhere has its line."""
    panel = alignment.layers(with_heads).axes[0]
    assert len(panel.lines[0].get_xdata()) == 3 + 4
    assert len(panel.lines) == len(alignment.layers(tidy).axes[0].lines) + 1
    assert not alignment.heads(tidy).axes, "but a line of text"


def test_powers_have_a_line_for_each_layer_and_its_maximum(tidy):
    panel = alignment.powers(tidy).axes[0]
    first = tidy[(tidy.variant == "pooling-max") & (tidy.dataset == "svhn")].groupby("layer", sort=False)
    means = first[[f"power_{power}" for power in POWERS]].mean().to_numpy()
    np.testing.assert_allclose([line.get_ydata() for line in panel.lines[::2]], means)
    assert [line.get_xdata()[0] for line in panel.lines[1::2]] == [POWERS[row.argmax()] for row in means]


def test_correlations_that_are_not_defined_are_not_drawn(tidy):
    tidy.loc[tidy.layer == "features.2", "correlation_nfm_agop"] = np.nan
    drawn = alignment.layers(tidy).axes[0].lines[0].get_ydata()
    assert np.isnan(drawn).tolist() == [False, True, False]


def test_variants_have_a_point_for_each_network_and_pair(tidy):
    figure = alignment.variants(tidy)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sweep: pooling-none", "sweep: pooling-max"]
    points = axes.containers[0].lines[0].get_xdata()
    means = tidy.groupby("variant", sort=False).correlation_nfm_agop.mean()
    np.testing.assert_allclose(np.asarray(points, float), means.to_numpy()[::-1])


@pytest.mark.parametrize("name", figures_of(alignment.__name__))
def test_figures_repeat_byte_for_byte(tidy, tmp_path, name):
    for file in ("a.svg", "b.svg"):
        save(figures_of(alignment.__name__)[name](tidy), tmp_path / file)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
