"""Figures: what they show, and that they repeat."""

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.colors import to_hex

from ansatz import figures
from real_data import ROOT


@pytest.fixture
def tidy():
    rng = np.random.default_rng(0)
    rows = [
        {"dataset": dataset, "initializer": name, "seed": seed, "epoch": epoch, "status": "ok"}
        | {"train_accuracy": 0.5, "validation_accuracy": 0.6 + 0.01 * seed}
        | {"train_loss": 1.0, "train_eval_loss": 0.8, "validation_loss": 1.5 + 0.1 * rng.random()}
        for dataset in ("svhn", "cifar10")
        for name in ("nfm", "kaiming_uniform", "mine")
        for seed in range(2)
        for epoch in range(1, 4)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", figures.CURVES)
def test_one_panel_a_dataset_and_one_look_an_initializer(tidy, name):
    figure = figures.CURVES[name](tidy)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["svhn", "cifar10"]
    for axes in figure.axes:
        drawn = {line.get_label(): to_hex(line.get_color()) for line in axes.lines if line.get_label()[0] != "_"}
        assert drawn == {label: figures.looks(["mine"])[label][0] for label in drawn}
        assert set(drawn) == {"nfm", "kaiming_uniform", "mine"}
    assert [text.get_text() for text in figure.legends[0].texts] == ["nfm", "kaiming_uniform", "mine"]


def test_curves_are_means_over_seeds_with_a_band(tidy):
    axes = figures.accuracy(tidy).axes[2]
    line = next(line for line in axes.lines if line.get_label() == "nfm")
    assert line.get_ydata() == pytest.approx([0.605] * 3)
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.max() - band.min()) / 2 == pytest.approx(np.std([0.60, 0.61], ddof=1))


def test_gaps_are_differences_of_losses_with_a_zero_line(tidy):
    running, _, evaluated, _ = figures.gap(tidy).axes
    lines = [next(line for line in axes.lines if line.get_label() == "nfm") for axes in (running, evaluated)]
    assert (lines[1].get_ydata() - lines[0].get_ydata()) == pytest.approx([0.2] * 3)
    assert any(set(line.get_ydata()) == {0} for line in running.lines)


def test_diverged_epochs_are_left_out(tidy):
    tidy.loc[tidy.epoch == 3, "status"] = "diverged"
    line = figures.accuracy(tidy).axes[0].lines[0]
    assert list(line.get_xdata()) == [1, 2]


def test_files_repeat_byte_by_byte(tidy, tmp_path):
    paths = [tmp_path / f"{i}.{form}" for form in ("png", "svg") for i in range(2)]
    for path in paths:
        figures.save(figures.gap(tidy), path)
    contents = [path.read_bytes() for path in paths]
    assert contents[0] == contents[1]
    assert contents[2] == contents[3]


def test_every_built_in_initializer_has_a_look_of_its_own():
    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
    assert set(figures.LOOKS) == set(schema["properties"]["initializers"]["items"]["enum"])
    assert len({colour for colour, _ in [*figures.LOOKS.values(), *figures.OTHER_LOOKS]}) == len(figures.LOOKS) + 4
