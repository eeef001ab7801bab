"""Figures: what they show, and that they repeat."""

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.colors import to_hex
from PIL import Image

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


@pytest.mark.parametrize("name", ["gap", "heat_maps", "patches", "looks_at"])
def test_files_repeat_byte_by_byte(tidy, tmp_path, name):
    content = {"gap": [tidy], "heat_maps": [matrices(), 0.5], "patches": [vectors()], "looks_at": looks(layers=2)}
    paths = [tmp_path / f"{i}.{form}" for form in ("png", "svg") for i in range(2)]
    for path in paths:
        figures.save(getattr(figures, name)(*content[name]), path)
    contents = [path.read_bytes() for path in paths]
    assert contents[0] == contents[1]
    assert contents[2] == contents[3]


def test_every_built_in_initializer_has_a_look_of_its_own():
    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
    assert set(figures.LOOKS) == set(schema["properties"]["initializers"]["items"]["enum"])
    assert len({colour for colour, _ in [*figures.LOOKS.values(), *figures.OTHER_LOOKS]}) == len(figures.LOOKS) + 4


# ------------------------------------------------------------------------------------------------- feature matrices
def matrices():
    factors = np.random.default_rng(0).normal(size=(2, 3, 8))
    return {name: by * f.T @ f for name, by, f in zip(("NFM", "AGOP"), (1, 100), factors, strict=True)}


def vectors(channels=3):
    patches = np.random.default_rng(0).normal(size=(2, 5, channels, 4, 4))
    return {"NFM": patches[0], "AGOP": 100 * patches[1, :3]}


def looks(layers, channels=3):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, channels), np.uint8)
    return image, {kind: {f"conv{i}": rng.random((8, 8)) for i in range(layers)} for kind in ("NFM", "AGOP")}


def drawn(figure):
    return [image for axes in figure.axes for image in axes.images]


def test_heat_maps_share_one_scale_about_zero_and_one_bar():
    figure = figures.heat_maps(matrices(), 0.12345)
    assert [axes.get_title() for axes in figure.axes] == ["NFM", "AGOP", ""]
    assert figure.get_suptitle() == "correlation 0.123"
    for image, matrix in zip(drawn(figure), matrices().values(), strict=True):
        assert image.get_clim() == (-1, 1)
        assert np.asarray(image.get_array()) == pytest.approx(matrix / abs(matrix).max())
    assert not figures.heat_maps({"NFM": np.zeros((3, 3))}).get_suptitle()


@pytest.mark.parametrize("rows", [1, 3])
def test_patches_and_their_shares_are_within_the_page(rows, tmp_path):
    labels = ("ConvRFM", "Deep ConvRFM", "CNN")[:rows]
    patches = {label: np.random.default_rng(0).normal(size=(8, 1, 3, 3)) for label in labels}
    shares = {label: np.full(8, 0.125) for label in labels}
    figures.save(figures.patches(patches, shares), tmp_path / "patches.png")
    page = np.asarray(Image.open(tmp_path / "patches.png").convert("L"))
    assert min(edge.min() for edge in (page[0], page[-1], page[:, 0], page[:, -1])) == 255


@pytest.mark.parametrize("channels", [1, 3])
def test_patches_fill_the_scale_about_mid_grey(channels):
    figure = figures.patches(vectors(channels))
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["NFM", "AGOP"]
    assert [axes.get_title() for axes in figure.axes[:5]] == ["1", "2", "3", "4", "5"]
    given = [patch for some in vectors(channels).values() for patch in some]
    for image, patch in zip(drawn(figure), given, strict=True):
        shown = np.asarray(image.get_array()).reshape(4, 4, channels).transpose(2, 0, 1)
        assert shown - 0.5 == pytest.approx(patch / abs(patch).max() / 2)


def test_shares_stand_below_patches_and_a_shorter_row_ends_before():
    some = vectors(1)
    some["AGOP"] = some["AGOP"][:2]
    figure = figures.patches(some, {label: np.linspace(0.5, 0.1, len(patches)) for label, patches in some.items()})
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "50.0%",
        "40.0%",
        "30.0%",
        "20.0%",
        "10.0%",
        "50.0%",
        "10.0%",
    ] + [""] * 3
    assert [axes.get_visible() for axes in figure.axes] == [True] * 7 + [False] * 3


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_a_feature_matrix_and_a_column_a_layer(channels):
    image, rows = looks(3, channels)
    figure = figures.looks_at(image, rows)
    original, *maps = drawn(figure)
    assert np.array_equal(np.asarray(original.get_array()).reshape(image.shape), image)
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["conv0", "conv1", "conv2"]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["NFM", "AGOP"]
    for found, expected in zip(maps, [found for row in rows.values() for found in row.values()], strict=True):
        assert np.array_equal(found.get_array(), expected)
        assert found.get_clim() == pytest.approx(np.percentile(expected, [1, 99]))


def test_of_many_layers_an_even_choice_is_drawn_and_said():
    figure = figures.looks_at(*looks(31))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["16 of 31 layers", *(f"conv{i}" for i in range(0, 31, 2))]
    assert not figures.looks_at(*looks(16)).axes[0].get_title()
