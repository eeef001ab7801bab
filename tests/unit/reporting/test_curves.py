"""Curves over epochs: what they show, and that they repeat."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from ansatz.errors import UserError
from ansatz.reporting.figures.catalogue import names
from ansatz.reporting.figures.curves import CHANCE, accuracy, figure_of, gap
from ansatz.reporting.figures.palette import styles
from ansatz.reporting.figures.style import save

FIGURES = [*names("curves"), "loss", "top5_accuracy"]


@pytest.fixture
def tidy():
    rng = np.random.default_rng(0)
    rows = [
        {"dataset": dataset, "initializer": name, "seed": seed, "epoch": epoch, "status": "ok"}
        | {"train_accuracy": 0.5, "validation_accuracy": 0.6 + 0.01 * seed}
        | {"train_loss": 1.0, "train_eval_loss": 0.8, "validation_loss": 1.5 + 0.1 * rng.random()}
        | {"train_top5_accuracy": 0.8, "validation_top5_accuracy": 0.7 + 0.1 * epoch}
        for dataset in ("svhn", "cifar10")
        for name in ("nfm", "kaiming_uniform", "mine")
        for seed in range(2)
        for epoch in range(1, 4)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", FIGURES)
def test_a_panel_for_each_dataset_and_a_style_for_each_initializer(tidy, name):
    figure = figure_of(name)(tidy)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["svhn", "cifar10"]
    style_of = styles(["nfm", "kaiming_uniform", "mine"])
    for axes in figure.axes:
        colours = {line.get_label(): to_hex(line.get_color()) for line in axes.lines if line.get_label()[0] != "_"}
        assert colours == {label: style.colour for label, style in style_of.items()}
    assert [text.get_text() for text in figure.legends[0].texts] == ["nfm", "kaiming_uniform", "mine"]


@pytest.mark.parametrize("name", FIGURES)
def test_many_initializers_have_a_panel_each_before_the_others_in_grey(tidy, name):
    names = [f"i{number}" for number in range(9)]
    many = pd.concat([tidy[tidy.initializer == "nfm"].assign(initializer=each) for each in names], ignore_index=True)
    many.loc[many.initializer == "i3", "validation_accuracy"] = 0.9
    figure = figure_of(name)(many.assign(chance=0.55))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == names * 2  # datasets
    assert all(len(axes.lines) >= 2 * 9 for axes in panels)
    own = [line for line in panels[3].lines if line.get_linewidth() > 1]
    assert {to_hex(line.get_color()) for line in own} == {styles(names)["i3"].colour}
    if name == "accuracy":
        assert own[1].get_ydata() == pytest.approx([0.9] * 3)
        assert panels[0].yaxis.get_major_formatter()(0.5, 0) == "50%"
        assert all(panel.lines[-1].get_label() == CHANCE for panel in panels)


def test_curves_are_means_over_seeds_with_a_band(tidy):
    axes = accuracy(tidy).axes[2]
    line = next(line for line in axes.lines if line.get_label() == "nfm")
    assert line.get_ydata() == pytest.approx([0.605] * 3)
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.max() - band.min()) / 2 == pytest.approx(np.std([0.60, 0.61], ddof=1))


def test_chance_is_a_dashed_line_where_the_axis_reaches_it(tidy):
    """Training accuracies of 0.5 end above 0.1 and below 0.51."""
    levels = {"svhn": 0.51, "cifar10": 0.1}
    figure = accuracy(tidy.assign(chance=tidy.dataset.map(levels)))
    drawn = [[line.get_ydata()[0] for line in axes.lines if line.get_label() == CHANCE] for axes in figure.axes]
    assert drawn == [[0.51], [], [], []]
    assert [text.get_text() for text in figure.legends[0].texts][-1] == CHANCE
    assert CHANCE not in [text.get_text() for text in accuracy(tidy).legends[0].texts]
    assert not [line for axes in gap(tidy.assign(chance=0.0)).axes for line in axes.lines if line.get_label() == CHANCE]


def test_gaps_are_differences_of_losses_with_a_zero_line(tidy):
    running, _, evaluated, _ = gap(tidy).axes
    lines = [next(line for line in axes.lines if line.get_label() == "nfm") for axes in (running, evaluated)]
    assert (lines[1].get_ydata() - lines[0].get_ydata()) == pytest.approx([0.2] * 3)
    assert any(set(line.get_ydata()) == {0} for line in running.lines)


def test_any_metric_that_was_measured_is_drawn_under_its_name(tidy):
    training, _, validation, _ = figure_of("top5_accuracy")(tidy).axes
    assert (training.get_ylabel(), validation.get_ylabel()) == ("training top5 accuracy", "validation top5 accuracy")
    assert validation.lines[0].get_ydata() == pytest.approx([0.8, 0.9, 1.0])


def test_a_metric_that_was_not_measured_is_reported_in_one_line(tidy):
    with pytest.raises(UserError, match=r"figure f1: the runs have no column train_f1; add f1 to training\.metrics"):
        figure_of("f1")(tidy)


def test_diverged_epochs_are_left_out(tidy):
    tidy.loc[tidy.epoch == 3, "status"] = "diverged"
    line = accuracy(tidy).axes[0].lines[0]
    assert list(line.get_xdata()) == [1, 2]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_files_repeat_byte_for_byte(tidy, tmp_path, suffix):
    paths = [tmp_path / f"{number}.{suffix}" for number in range(2)]
    for path in paths:
        save(gap(tidy), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
