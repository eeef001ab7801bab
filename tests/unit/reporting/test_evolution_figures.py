"""Figures of the evolution of features: what they show, and that they repeat."""

from dataclasses import replace

import numpy as np
import pytest

from ansatz.files.evolution import Evolution, LayerEvolution
from ansatz.reporting.evolution import PAIRS
from ansatz.reporting.figures import evolution as figures
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.style import save


@pytest.fixture
def evolution():
    rng = np.random.default_rng(0)

    def layer(channels):
        correlations = {pair: rng.random(12) for pair in PAIRS}
        filters, outputs = rng.normal(size=(12, 4, channels, 3, 3)), rng.normal(size=(12, 4, 6, 6))
        return LayerEvolution(filters, rng.normal(size=(12, 1, 4, 9 * channels)), outputs, correlations)

    curves = {"epoch": np.array([0, 0.1, *range(1, 11)]), "step": np.array([0, 5, *range(50, 501, 50)])}
    names = [f"{part}_{measure}" for part in ("train_eval", "validation") for measure in ("loss", "accuracy")]
    layers = {f"features.{number}": layer(1 + 3 * (number > 0)) for number in range(20)}
    return Evolution(curves | {name: rng.random(12) for name in names}, layers, np.zeros((1, 6, 6), np.uint8))


def test_the_nfm_is_drawn_at_snapshots_from_the_first_to_the_last(evolution):
    figure = figures.nfm(evolution)
    titles = [axes.get_title() for axes in figure.axes[: figures.SNAPSHOTS]]
    assert (titles[0], titles[-1], len(titles)) == ("before", "epoch 10", 8)
    images = [axes.images[0] for axes in figure.axes[: figures.SNAPSHOTS]]
    assert len({image.get_clim() for image in images}) == 1
    low, high = images[0].get_clim()
    assert low == -high
    w = evolution.layers["features.0"].filters[-1].reshape(4, -1)
    np.testing.assert_allclose(images[-1].get_array(), w.T @ w)


@pytest.fixture
def early(evolution):
    """The first three snapshots, up to the end of the first epoch, of three layers."""
    layers = {
        name: replace(layer, correlations={pair: values[:3] for pair, values in layer.correlations.items()})
        for name, layer in list(evolution.layers.items())[:3]
    }
    return Evolution({name: values[:3] for name, values in evolution.curves.items()}, layers, evolution.image)


def test_a_snapshot_within_the_first_epoch_is_called_by_its_step(early):
    assert [axes.get_title() for axes in figures.nfm(early).axes[:3]] == ["before", "step 5", "epoch 1"]


def test_many_layers_are_rows_of_maps(evolution, early):
    figure = figures.correlation(evolution)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(evolution.layers)
    for axes, pair in zip(figure.axes, PAIRS, strict=False):
        rows = [layer.correlations[pair] for layer in evolution.layers.values()]
        np.testing.assert_array_equal(axes.images[0].get_array(), rows)
    few = figures.correlation(early)
    assert [text.get_text() for text in few.legends[0].texts] == ["features.0", "features.1", "features.2"]
    assert len(few.axes[0].lines) == 3


@pytest.mark.parametrize("name", figures_of(figures.__name__))
def test_figures_repeat_byte_for_byte(early, tmp_path, name):
    for file in ("a.svg", "b.svg"):
        save(figures_of(figures.__name__)[name](early), tmp_path / file)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_outputs_stand_below_their_input(early):
    image = np.arange(36, dtype=np.uint8).reshape(1, 6, 6)
    figure = figures.outputs(replace(early, image=image))
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert labels[:2] == ["input", "features.0\nfilter 1"]
    first, below = figure.axes[0].images[0], figure.axes[3].images[0]  # of three snapshots
    np.testing.assert_array_equal(np.squeeze(first.get_array()), image[0])
    assert first.get_clim() == (0, 255)
    assert below.get_clim() == (-1, 1)
