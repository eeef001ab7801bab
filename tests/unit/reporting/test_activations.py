"""The figure of activations: a line for each initializer, by layer, and what is not drawn."""

import numpy as np
import pandas as pd
import pytest

from ansatz.reporting.figures.comparison import activations
from ansatz.reporting.figures.palette import styles
from ansatz.reporting.figures.style import save

LAYERS = ("features.0", "features.3", "features.10")
STDS = {"kaiming_normal": [1.5, 1.2, 1.1], "nfm": [1, 20, 300], "dirac": [0.5, 0.2, 0.0], "agop": [2, np.inf, np.nan]}


@pytest.fixture
def table():
    return pd.DataFrame(
        [
            {"dataset": dataset, "initializer": name, "seed": 0, "layer": layer, "std": std}
            for dataset in ("svhn", "007")
            for name, stds in STDS.items()
            for layer, std in zip(LAYERS, stds, strict=True)
        ]
    )


def test_a_panel_for_each_dataset_with_a_logarithmic_line_for_each_initializer(table):
    figure = activations(table)
    assert [axes.get_title() for axes in figure.axes] == ["svhn", "007"]
    for axes in figure.axes:
        assert axes.get_yscale() == "log"
        lines = {line.get_label(): line for line in axes.lines}
        assert lines["nfm"].get_xdata().tolist() == [1, 2, 3]
        assert lines["nfm"].get_ydata().tolist() == STDS["nfm"]
        assert lines["nfm"].get_color() == styles(STDS)["nfm"].colour


def test_what_is_zero_or_not_finite_ends_a_line(table):
    lines = {line.get_label(): line.get_ydata() for line in activations(table).axes[0].lines}
    assert lines["dirac"][:2].tolist() == [0.5, 0.2]
    assert lines["agop"][0] == 2
    assert np.isnan([lines["dirac"][2], *lines["agop"][1:]]).all()


def test_the_legend_is_in_the_order_of_the_last_layer(table):
    names = [text.get_text() for text in activations(table).legends[0].texts]
    assert names == ["agop", "nfm", "kaiming_normal", "dirac"]


def test_the_figure_repeats_byte_for_byte(table, tmp_path):
    for name in ("a", "b"):
        save(activations(table), tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
