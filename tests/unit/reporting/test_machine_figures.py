"""Figures of machines: what they show of the scores."""

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from ansatz.files.tables import SCORES
from ansatz.reporting.figures import machines as figures
from ansatz.reporting.figures.catalogue import figures_of
from ansatz.reporting.figures.palette import CHARCOAL, GREY, SILVER
from ansatz.reporting.machines import read_declared

ACCURACIES = {  # by machine and layers, at the lower level of noise; 0.1 less at the higher one
    ("cntk", 0): 0.7,
    ("convrfm", 1): 0.8,
    ("deep_convrfm", 1): 0.8,
    ("deep_convrfm", 2): 0.85,
}
DECLARED = {
    "cntk": {"title": "CNTK", "baseline": True},
    "convrfm": {"title": "ConvRFM", "learns_features": True},
    "deep_convrfm": {"title": "Deep ConvRFM", "learns_features": True, "starts_from": "convrfm"},
}
MACHINES = read_declared(DECLARED)
DRAW = figures_of(figures.__name__)


def tidy(noise=(0.5, 2.0), seeds=(0, 1, 2)):
    return pd.DataFrame(
        [
            ("bars", "bars", level, machine, seed, layers, accuracy - 0.1 * place + 0.01 * seed, 10, 10, 1.0)
            for place, level in enumerate(noise)
            for (machine, layers), accuracy in ACCURACIES.items()
            for seed in seeds
        ],
        columns=SCORES,
    )


def titles(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_accuracy_against_noise_is_a_line_for_each_machine():
    figure = figures.noise(tidy(), MACHINES)
    (axes,) = figure.axes
    assert titles(figure) == ["CNTK", "ConvRFM", "Deep ConvRFM"]
    assert axes.yaxis.get_major_formatter()(0.75, 0) == "75"
    for line, accuracy in zip(axes.containers, (0.7, 0.8, 0.85), strict=True):  # a deep machine with all its layers
        assert line.lines[0].get_xdata() == pytest.approx([0.5, 2], abs=0.3)
        assert line.lines[0].get_ydata() == pytest.approx([accuracy + 0.01, accuracy - 0.09])

    places = [line.lines[0].get_xdata()[0] for line in axes.containers]
    assert len(set(places)) == len(places), "error bars do not hide each other"


def test_accuracies_at_one_level_of_noise_are_bars():
    (axes,) = figures.noise(tidy(noise=(2.0,)), MACHINES).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.71, 0.81, 0.86])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2"]


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_bars_are_the_differences_to_the_baseline_in_points(seeds):
    figure = figures.improvement(tidy(seeds=seeds), MACHINES)
    (axes,) = figure.axes
    assert titles(figure) == ["ConvRFM", "Deep ConvRFM"]
    assert figure.get_supylabel() == "gain over CNTK, points"
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.1, 0.1, 0.15, 0.15])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.5", "2"]
    written = axes.yaxis.get_major_formatter()
    assert [written(difference, 0) for difference in (-0.125, 0, 0.05)] == ["−12.5", "0", "+5"]


@pytest.mark.parametrize("noise", [(0.5,), (0.5, 2.0)])
def test_layers_start_from_the_baseline_and_tell_levels_of_noise_apart(noise):
    figure = figures.layers(tidy(noise), MACHINES)
    (axes,) = figure.axes
    lines = [line for line in axes.lines if line.get_marker() == "^"]
    assert [line.get_xdata().tolist() for line in lines] == [[0, 1, 2]] * len(noise)
    assert lines[0].get_ydata() == pytest.approx([0, 0.1, 0.15])
    assert lines[-1].get_alpha() == 1
    levels = [text.get_text() for text in axes.texts]
    assert sorted(levels) == (["0.5", "0.5", "2", "2"] if len(noise) > 1 else [])
    assert axes.get_xticks().tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", DRAW)
def test_names_decide_nothing(name):
    labels = {"cntk": "mine", "convrfm": "cntk", "deep_convrfm": "other"}
    renamed = read_declared({labels[label]: declared for label, declared in DECLARED.items()})
    figure = DRAW[name](tidy().replace({"machine": labels}), renamed)
    assert titles(figure) == titles(DRAW[name](tidy(), MACHINES))
    if name == "layers":
        assert [0, 1, 2] in [list(line.get_xdata()) for line in figure.axes[0].lines]


def test_machines_that_learn_no_features_are_grey_and_the_others_are_not():
    machines = read_declared(DECLARED | {"svm": {}, "mine": {"learns_features": True}})
    more = [tidy().query("machine == 'convrfm'").assign(machine=label) for label in ("svm", "mine")]
    (axes,) = figures.noise(pd.concat([tidy(), *more]), machines).axes
    colours = {drawn.get_label(): to_hex(drawn.lines[0].get_color()) for drawn in axes.containers}
    assert {title for title, colour in colours.items() if colour in (GREY, SILVER, CHARCOAL)} == {"CNTK", "svm"}
    assert len(set(colours.values())) == len(colours)


@pytest.mark.parametrize("name", DRAW)
def test_a_machine_without_a_title_is_called_by_its_label(name):
    own = tidy().replace({"machine": {"convrfm": "random_forest"}})
    assert titles(DRAW[name](own, MACHINES))[-2:] == ["Deep ConvRFM", "random_forest"]


@pytest.mark.parametrize("name", ["improvement", "layers"])
def test_a_baseline_alone_is_compared_with_nothing(name):
    figure = DRAW[name](tidy().query("machine == 'cntk'"), MACHINES)
    assert not figure.axes
    assert figure.texts[0].get_text() == "no machine was run besides CNTK"


@pytest.mark.parametrize("name", ["improvement", "layers"])
def test_without_a_baseline_nothing_is_compared(name):
    machines = read_declared({label: DECLARED[label] for label in ("convrfm", "deep_convrfm")})
    figure = DRAW[name](tidy().query("machine != 'cntk'"), machines)
    assert not figure.axes
    assert figure.texts[0].get_text() == "no baseline to compare machines with"
