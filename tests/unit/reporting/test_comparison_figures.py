"""Comparisons of the initializers: what the figures show, and that they repeat."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from ansatz.reporting import speed
from ansatz.reporting.figures import comparison
from ansatz.reporting.figures.palette import DISTINCT, styles
from ansatz.reporting.figures.style import save

INITIALIZERS = ["kaiming_uniform", "nfm", "mine"]
DATASETS = ["svhn", "cifar10"]


@pytest.fixture
def learned():
    """The speed of runs of which those of `mine` never reach the target."""
    rows = [
        {"dataset": dataset, "initializer": name, "seed": seed, "epoch": epoch, "images": 10 * epoch, "status": "ok"}
        | {"validation_accuracy": 0.1 if name == "mine" else 0.5 + 0.1 * epoch + 0.001 * seed}
        for dataset in DATASETS
        for name in INITIALIZERS
        for seed in range(3)
        for epoch in range(1, 4)
    ]
    return speed.by_run(pd.DataFrame(rows), "kaiming_uniform")


def test_speed_has_a_row_of_panels_for_each_dataset_and_a_point_for_each_seed(learned):
    figure = comparison.speed(learned)
    assert len(figure.axes) == len(DATASETS) * 3
    epochs, area, first = figure.axes[:3]
    assert epochs.get_title(loc="left") == "svhn: target 79.1% (kaiming_uniform − 1 point)"
    assert [label.get_text() for label in epochs.get_yticklabels()] == INITIALIZERS
    colours = {name: style.colour for name, style in styles(INITIALIZERS).items()}
    drawn = [line for line in epochs.lines if to_hex(line.get_color()) == colours["nfm"]]
    points, middle = drawn[0], drawn[-1]
    assert points.get_xdata().tolist() == [3, 3, 3]
    assert list(middle.get_xdata()) == [3, 3]
    means = [line for line in area.lines if to_hex(line.get_color()) == colours["nfm"]][-1]
    assert means.get_xdata() == pytest.approx([0.701, 0.701])
    assert first.lines[2].get_xdata() == pytest.approx([0.6, 0.601, 0.602])
    assert figure.axes[-1].get_xlabel() == "validation accuracy\nafter 1 epoch\n(bar: mean)"


def test_a_dataset_without_a_target_says_so(learned):
    figure = comparison.speed(learned.assign(target=np.nan, target_epochs=np.nan))
    assert figure.axes[0].get_title(loc="left") == "svhn: no target, as kaiming_uniform diverged"


def test_seeds_that_never_reach_the_target_are_drawn_behind_the_last_epoch(learned):
    epochs = comparison.speed(learned).axes[0]
    (triangles,) = [line for line in epochs.lines if line.get_marker() == ">" and len(line.get_xdata())]
    assert len(triangles.get_xdata()) == 3
    assert all(3 < x < epochs.get_xlim()[1] for x in triangles.get_xdata())
    assert np.round(triangles.get_ydata()).tolist() == [2, 2, 2]


@pytest.fixture
def table():
    """Differences of which that of `far` is far beyond the others; `nfm` is better with certainty on svhn alone."""
    rows = [
        ("svhn", "kaiming_uniform", np.nan, np.nan, np.nan, np.nan),
        ("svhn", "mine", 0.01, -0.01, 0.03, 0.4),
        ("svhn", "nfm", 0.02, 0.01, 0.03, 0.01),
        ("svhn", "far", -0.8, -0.9, -0.7, 0.001),
        ("cifar10", "kaiming_uniform", np.nan, np.nan, np.nan, np.nan),
        ("cifar10", "mine", -0.01, np.nan, np.nan, np.nan),
        ("cifar10", "nfm", 0.01, -0.02, 0.04, 0.2),
        ("cifar10", "far", np.nan, np.nan, np.nan, np.nan),
    ]
    columns = ["dataset", "initializer", "difference", "difference_low", "difference_high", "p"]
    return pd.DataFrame(rows, columns=columns).assign(baseline="kaiming_uniform")


def test_differences_are_a_forest_plot(table):
    svhn, cifar10 = comparison.differences(table).axes
    assert (svhn.get_title(loc="left"), cifar10.get_title(loc="left")) == ("svhn", "cifar10")
    assert [label.get_text() for label in svhn.get_yticklabels()] == ["nfm", "mine", "far"], "the best on top"
    colour = styles(table.initializer.unique())["nfm"].colour
    interval, point = [line for line in svhn.lines if to_hex(line.get_color()) == colour]
    assert interval.get_xdata().tolist() == pytest.approx([1, 3])
    assert point.get_xdata() == pytest.approx([2])
    assert svhn.texts[0].get_text() == "+2.00 [+1.00, +3.00]"
    assert [text.get_text() for text in cifar10.texts] == ["+1.00 [−2.00, +4.00]", "−1.00", "diverged"]
    assert list(svhn.lines[0].get_xdata()) == [0, 0], "the zero line"
    assert "difference to kaiming_uniform in percentage points" in cifar10.get_xlabel()


def test_differences_that_the_corrected_test_finds_are_filled(table):
    svhn, cifar10 = comparison.differences(table).axes
    faces = [
        [line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"] for axes in (svhn, cifar10)
    ]
    colour = styles(table.initializer.unique())["nfm"].colour
    assert faces == [[colour, "white"], ["white", "white", "white"]]


def test_a_difference_far_beyond_the_others_is_an_arrow_with_its_number(table):
    svhn, _ = comparison.differences(table).axes
    assert svhn.get_xlim()[0] > -20
    (arrow,) = [line for line in svhn.lines if line.get_marker() == "<"]
    assert list(arrow.get_ydata()) == [2]
    assert svhn.texts[2].get_text() == "−80.00 [−90.00, −70.00]"


def test_a_study_of_one_initializer_or_of_diverged_ones_has_a_figure_too(table):
    alone = comparison.differences(table[table.initializer == "kaiming_uniform"])
    assert alone.texts[0].get_text() == "nothing was compared with kaiming_uniform"
    nothing = comparison.differences(
        table[table.initializer.isin(["kaiming_uniform", "far"]) & (table.dataset != "svhn")]
    )
    assert [text.get_text() for text in nothing.axes[0].texts] == ["diverged"]


@pytest.fixture
def tuning():
    """Accuracies over three rates, of which `mine` diverges at the largest: once on svhn, always on cifar10."""
    rows = [
        {"dataset": dataset, "initializer": name, "learning_rate": rate, "seed": seed, "chosen": rate == 0.01}
        | {"best_validation_accuracy": 0.5 + seed / 1000 - abs(np.log10(rate) + 2) / 10}
        | {"status": "diverged" if name == "mine" and rate == 0.1 and seed >= first else "finished"}
        for dataset, first in (("svhn", 101), ("cifar10", 100))
        for name in ("nfm", "mine")
        for rate in (0.001, 0.01, 0.1)
        for seed in (100, 101)
    ]
    return pd.DataFrame(rows)


def lines_of(axes, dataset):
    colour = DISTINCT[["svhn", "cifar10"].index(dataset)]
    return [line for line in axes.lines if to_hex(line.get_color()) == colour]


def test_learning_rates_have_a_panel_for_each_initializer_and_a_circle_at_the_chosen_one(tuning):
    nfm, mine = comparison.learning_rates(tuning).axes
    assert (nfm.get_title(), mine.get_title(), nfm.get_xscale()) == ("nfm", "mine", "log")
    line, point, diverged = lines_of(nfm, "svhn")
    assert line.get_xdata().tolist() == [0.001, 0.01, 0.1]
    assert line.get_ydata().tolist() == pytest.approx([0.5005, 0.6005, 0.5005])
    assert (point.get_xdata().tolist(), point.get_ydata().tolist()) == ([0.01], pytest.approx([0.6005]))
    assert diverged.get_xdata().tolist() == []
    band = nfm.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() - 0.6005 == pytest.approx(np.std([0.6, 0.601], ddof=1))


def test_runs_that_diverged_are_crosses_at_the_bottom_and_left_out_of_means(tuning):
    _, mine = comparison.learning_rates(tuning).axes
    (svhn, _, of_svhn), (cifar10, _, of_cifar10) = lines_of(mine, "svhn"), lines_of(mine, "cifar10")
    assert svhn.get_ydata()[-1] == pytest.approx(0.5), "of the seed that did not diverge"
    assert cifar10.get_xdata().tolist() == [0.001, 0.01]
    assert of_svhn.get_xdata().tolist() == of_cifar10.get_xdata().tolist() == [0.1]


def test_the_best_initializer_comes_first_and_datasets_are_named_where_there_are_several(tuning):
    better = tuning.assign(best_validation_accuracy=tuning.best_validation_accuracy + (tuning.initializer == "mine"))
    figure = comparison.learning_rates(better)
    assert [axes.get_title() for axes in figure.axes] == ["mine", "nfm"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["svhn", "cifar10"]
    assert not comparison.learning_rates(better[better.dataset == "svhn"]).legends


@pytest.mark.parametrize("suffix", ["png", "svg"])
@pytest.mark.parametrize("name", ["differences", "speed", "learning_rates"])
def test_files_repeat_byte_for_byte(learned, table, tuning, tmp_path, name, suffix):
    paths = [tmp_path / f"{number}.{suffix}" for number in range(2)]
    drawn_from = {"differences": table, "speed": learned, "learning_rates": tuning}
    for path in paths:
        save(getattr(comparison, name)(drawn_from[name]), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
