"""Figures of the ansatz: what they show, and that they repeat."""

import numpy as np
import pandas as pd
import pytest

from ansatz.files.tables import ALIGNMENT
from ansatz.reporting.alignment import PAIRS
from ansatz.reporting.figures import alignment
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save


@pytest.fixture
def tidy():
    rng = np.random.default_rng(0)
    rows = [
        {"experiment": "sweep", "variant": variant, "dataset": dataset, "seed": seed, "layer": layer}
        | {name: rng.random() for name in ALIGNMENT if name.startswith(("correlation_", "cosine_"))}
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
    assert [text.get_text() for text in figure.legends[0].texts] == list(PAIRS.values())


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
