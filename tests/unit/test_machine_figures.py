"""Figures of kernel machines: what they say of the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest

from ansatz import machine_figures
from ansatz.store import SCORES, Learnt

ACCURACIES = {  # by machine and layers, at the lower level of noise; 0.1 less at the higher one
    ("cntk", 0): 0.7,
    ("convrfm", 1): 0.8,
    ("deep_convrfm", 1): 0.8,
    ("deep_convrfm", 2): 0.85,
}


def tidy(noise=(0.5, 2.0), seeds=(0, 1, 2)):
    return pd.DataFrame(
        [
            ("bars", "bars", level, machine, seed, layers, right - 0.1 * place + 0.01 * seed, 10, 10, 1.0)
            for place, level in enumerate(noise)
            for (machine, layers), right in ACCURACIES.items()
            for seed in seeds
        ],
        columns=SCORES,
    )


def named(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_accuracy_falls_with_noise_a_line_a_machine():
    figure = machine_figures.noise(tidy())
    (axes,) = figure.axes
    assert named(figure) == ["CNTK", "ConvRFM", "Deep ConvRFM"]
    assert axes.yaxis.get_major_formatter()(0.75, 0) == "75"
    for line, right in zip(axes.containers, (0.7, 0.8, 0.85), strict=True):  # of a deep machine, all layers
        assert line.lines[0].get_xdata().tolist() == [0.5, 2]
        assert line.lines[0].get_ydata() == pytest.approx([right + 0.01, right - 0.09])


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_bars_are_the_differences_to_the_plain_kernel_in_points(seeds):
    figure = machine_figures.improvement(tidy(seeds=seeds))
    (axes,) = figure.axes
    assert named(figure) == ["ConvRFM", "Deep ConvRFM"]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.1, 0.1, 0.15, 0.15])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.5", "2"]
    written = axes.yaxis.get_major_formatter()
    assert [written(difference, 0) for difference in (-0.125, 0, 0.05)] == ["−12.5", "0", "+5"]


@pytest.mark.parametrize("noise", [(0.5,), (0.5, 2.0)])
def test_layers_start_from_the_plain_kernel_and_tell_levels_of_noise_apart(noise):
    figure = machine_figures.layers(tidy(noise))
    (axes,) = figure.axes
    lines = [line for line in axes.lines if line.get_marker() == "^"]
    assert [line.get_xdata().tolist() for line in lines] == [[0, 1, 2]] * len(noise)
    assert lines[0].get_ydata() == pytest.approx([0, 0.1, 0.15])
    assert lines[-1].get_alpha() == 1
    levels = [text.get_text() for text in axes.texts]
    assert sorted(levels) == (["0.5", "0.5", "2", "2"] if len(noise) > 1 else [])
    assert axes.get_xticks().tolist() == [0, 1, 2]


def test_looks_are_a_row_a_layer_below_the_images():
    images, rng = np.zeros((2, 1, 4, 6), np.float32), np.random.default_rng(0)
    learnt = {
        "convrfm": Learnt(images, {}, {}, {"0": rng.random((2, 4, 6))}),
        "deep_convrfm": Learnt(images, {}, {}, {"0": rng.random((2, 4, 6)), "2": rng.random((2, 4, 6))}),
        "cnn": Learnt(images, {}, {}, {"0": rng.random((2, 4, 6)), "2": np.ones((2, 4, 6))}),
    }
    figure = machine_figures.looks(learnt)
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    deep, cnn = ([f"{name}\nlayer {number}" for number in (1, 2)] for name in ("Deep ConvRFM", "CNN"))
    assert labels == ["image", "ConvRFM", deep[0], cnn[0], deep[1], cnn[1]]  # layers side by side
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert len(shown) == 12
    first = learnt["convrfm"].looks["0"][0]
    assert shown[2] == pytest.approx((first - first.min()) / np.ptp(first))
    assert all(axes.spines["top"].get_visible() for axes in figure.axes)  # a white border is not the page


def test_what_patches_see_lies_where_their_centres_are():
    learnt = Learnt(np.zeros((1, 1, 4, 6), np.float32), {}, {}, {"0": np.ones((1, 2, 4))})
    image, seen = machine_figures.looks({"convrfm": learnt}).axes
    assert image.images[0].get_extent() == [0, 6, 4, 0]
    assert seen.images[0].get_extent() == [1, 5, 3, 1]
    assert (seen.get_xlim(), seen.get_ylim()) == (image.get_xlim(), image.get_ylim()) == ((0, 6), (4, 0))


@pytest.mark.parametrize("name", machine_figures.SCORE_FIGURES)
def test_a_machine_of_ones_own_is_drawn_by_its_name(name):
    own = tidy().replace({"machine": {"convrfm": "random_forest"}})
    figure = machine_figures.SCORE_FIGURES[name](own)
    assert named(figure)[-2:] == ["Deep ConvRFM", "random_forest"]


@pytest.mark.parametrize("name", ["improvement", "layers"])
def test_nothing_is_compared_with_the_plain_kernel_alone(name):
    figure = machine_figures.SCORE_FIGURES[name](tidy().query("machine == 'cntk'"))
    assert not figure.axes
    assert figure.texts[0].get_text() == "no machine was run beside the CNTK"
