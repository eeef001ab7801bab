"""What layers look at, those of networks and those of machines: what the figures show, and that they repeat."""

import numpy as np
import pytest

from ansatz.files.learned import LearnedFeatures
from ansatz.reporting.figures.saliency import machine_saliency, saliency_maps
from ansatz.reporting.figures.style import save


def of_network(layers, channels=3):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, channels), np.uint8)
    return image, {kind: {f"conv{i}": rng.random((8, 8)) for i in range(layers)} for kind in ("NFM", "AGOP")}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_for_each_feature_matrix_and_a_column_for_each_layer(channels):
    image, rows = of_network(3, channels)
    figure = saliency_maps(image, rows)
    original, *drawn = [shown for axes in figure.axes for shown in axes.images]
    assert np.array_equal(np.asarray(original.get_array()).reshape(image.shape), image)
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["conv0", "conv1", "conv2"]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["NFM", "AGOP"]
    for shown, expected in zip(drawn, [values for row in rows.values() for values in row.values()], strict=True):
        assert np.array_equal(shown.get_array(), expected)
        assert shown.get_clim() == pytest.approx(np.percentile(expected, [1, 99]))


def test_of_many_layers_evenly_spaced_ones_are_drawn_and_the_figure_says_so():
    figure = saliency_maps(*of_network(31))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["16 of 31 layers", *(f"conv{i}" for i in range(0, 31, 2))]
    assert not saliency_maps(*of_network(16)).axes[0].get_title()


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_files_repeat_byte_for_byte(tmp_path, suffix):
    paths = [tmp_path / f"{number}.{suffix}" for number in range(2)]
    for path in paths:
        save(saliency_maps(*of_network(layers=2)), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_saliency_of_machines_is_a_row_for_each_layer_below_the_images():
    images, rng = np.zeros((2, 1, 4, 6), np.float32), np.random.default_rng(0)
    learned = {
        "ConvRFM": LearnedFeatures(images, {}, {}, {"0": rng.random((2, 4, 6))}),
        "Deep ConvRFM": LearnedFeatures(images, {}, {}, {"0": rng.random((2, 4, 6)), "2": rng.random((2, 4, 6))}),
        "CNN": LearnedFeatures(images, {}, {}, {"0": rng.random((2, 4, 6)), "2": np.ones((2, 4, 6))}),
    }
    figure = machine_saliency(learned)
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    deep, cnn = ([f"{title}\nlayer {number}" for number in (1, 2)] for title in ("Deep ConvRFM", "CNN"))
    assert labels == ["image", "ConvRFM", deep[0], cnn[0], deep[1], cnn[1]]  # the first layers come first
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert len(shown) == 12
    first = learned["ConvRFM"].saliency["0"][0]
    assert shown[2] == pytest.approx((first - first.min()) / np.ptp(first))
    assert all(axes.spines["top"].get_visible() for axes in figure.axes)  # a white border is not the page


def test_maps_of_patches_lie_where_the_centres_of_patches_are():
    learned = LearnedFeatures(np.zeros((1, 1, 4, 6), np.float32), {}, {}, {"0": np.ones((1, 2, 4))})
    image, map_of_patches = machine_saliency({"ConvRFM": learned}).axes
    assert image.images[0].get_extent() == [0, 6, 4, 0]
    assert map_of_patches.images[0].get_extent() == [1, 5, 3, 1]
    for axes in (image, map_of_patches):
        assert (axes.get_xlim(), axes.get_ylim()) == ((0, 6), (4, 0))
