"""Figures of the ansatz and of features' evolution: what they show, and that they repeat."""

import numpy as np
import pandas as pd
import pytest

from ansatz import feature_figures
from ansatz.figures import save
from ansatz.statistics import EVOLVED_PAIRS, PAIRS
from ansatz.store import ALIGNMENT, Evolution, Followed


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


@pytest.fixture
def evolution():
    rng = np.random.default_rng(0)

    def followed(channels):
        correlations = {pair: rng.random(12) for pair in EVOLVED_PAIRS}
        filters, outputs = rng.normal(size=(12, 4, channels, 3, 3)), rng.normal(size=(12, 4, 6, 6))
        return Followed(filters, rng.normal(size=(12, 1, 4, 9 * channels)), outputs, correlations)

    curves = {"epoch": np.array([0, 0.1, *range(1, 11)]), "step": np.array([0, 5, *range(50, 501, 50)])}
    names = [f"{part}_{measure}" for part in ("train_eval", "validation") for measure in ("loss", "accuracy")]
    layers = {f"features.{number}": followed(1 + 3 * (number > 0)) for number in range(20)}
    return Evolution(curves | {name: rng.random(12) for name in names}, layers, np.zeros((1, 6, 6), np.uint8))


def test_layers_have_a_panel_a_network_and_dataset_and_a_line_a_pair(tidy):
    figure = feature_figures.layers(tidy)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == 6
    assert panels[0].get_title() == "sweep: pooling-max\nsvhn"
    one = tidy[(tidy.variant == "pooling-max") & (tidy.dataset == "svhn")]
    drawn = panels[0].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, one.groupby("layer", sort=False).correlation_nfm_agop.mean())
    assert [text.get_text() for text in figure.legends[0].texts] == list(PAIRS.values())


def test_variants_have_a_point_a_network_and_a_pair(tidy):
    figure = feature_figures.variants(tidy)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sweep: pooling-none", "sweep: pooling-max"]
    points = axes.containers[0].lines[0].get_xdata()
    means = tidy.groupby("variant", sort=False).cosine_nfm_agop.mean()
    np.testing.assert_allclose(np.asarray(points, float), means.to_numpy()[::-1])


def test_a_strip_shows_moments_from_the_first_to_the_last(evolution):
    titles = [axes.get_title() for axes in feature_figures.nfm(evolution).axes[: feature_figures.MOMENTS]]
    assert (titles[0], titles[-1], len(titles)) == ("before", "epoch 10", 8)
    figure = feature_figures.nfm(evolution)
    images = [axes.images[0] for axes in figure.axes[: feature_figures.MOMENTS]]
    assert len({image.get_clim() for image in images}) == 1
    low, high = images[0].get_clim()
    assert low == -high
    w = evolution.layers["features.0"].filters[-1].reshape(4, -1)
    np.testing.assert_allclose(images[-1].get_array(), w.T @ w)


def test_a_legend_of_many_layers_names_a_few_of_them(evolution):
    figure = feature_figures.correlation(evolution)
    names = [text.get_text() for text in figure.legends[0].texts]
    assert (names[0], names[-1], len(names)) == ("features.0", "features.19", feature_figures.ENTRIES)
    assert len(figure.axes[0].lines) == 20


@pytest.mark.parametrize("name", feature_figures.STAGES)
def test_figures_repeat_byte_by_byte(evolution, tmp_path, name):
    for file in ("a.svg", "b.svg"):
        save(feature_figures.STAGES[name](evolution), tmp_path / file)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
