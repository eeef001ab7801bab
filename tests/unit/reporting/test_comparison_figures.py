"""Comparisons of the initializers: what the figures show, and that they repeat."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from ansatz.reporting import speed
from ansatz.reporting.figures import comparison
from ansatz.reporting.figures.palette import styles
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
    assert figure.axes[-1].get_xlabel() == "validation accuracy\nafter 1 epoch"


def test_a_dataset_without_a_target_says_so(learned):
    figure = comparison.speed(learned.assign(target=np.nan, target_epochs=np.nan))
    assert figure.axes[0].get_title(loc="left") == "svhn: no target, as kaiming_uniform diverged"


def test_seeds_that_never_reach_the_target_are_drawn_behind_the_last_epoch(learned):
    epochs = comparison.speed(learned).axes[0]
    (triangles,) = [line for line in epochs.lines if line.get_marker() == ">" and len(line.get_xdata())]
    assert len(triangles.get_xdata()) == 3
    assert all(3 < x < epochs.get_xlim()[1] for x in triangles.get_xdata())
    assert np.round(triangles.get_ydata()).tolist() == [2, 2, 2]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_files_repeat_byte_for_byte(learned, tmp_path, suffix):
    paths = [tmp_path / f"{number}.{suffix}" for number in range(2)]
    for path in paths:
        save(comparison.speed(learned), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
