"""Heat maps of feature matrices, and their eigenvectors as patches: what they show, and that they repeat."""

import numpy as np
import pytest
from PIL import Image

from ansatz.reporting.figures.matrices import heat_maps, patches
from ansatz.reporting.figures.style import save


def dense():
    factors = np.random.default_rng(0).normal(size=(2, 3, 8))
    return {name: scale * f.T @ f for name, scale, f in zip(("NFM", "AGOP"), (1, 100), factors, strict=True)}


def vectors(channels=3):
    values = np.random.default_rng(0).normal(size=(2, 5, channels, 4, 4))
    return {"NFM": values[0], "AGOP": 100 * values[1, :3]}


def images_of(figure):
    return [image for axes in figure.axes for image in axes.images]


def test_heat_maps_share_a_scale_about_zero_and_a_bar():
    figure = heat_maps(dense(), 0.12345)
    assert [axes.get_title() for axes in figure.axes] == ["NFM", "AGOP", ""]
    assert figure.get_suptitle() == "correlation 0.123"
    for image, matrix in zip(images_of(figure), dense().values(), strict=True):
        assert image.get_clim() == (-1, 1)
        assert np.asarray(image.get_array()) == pytest.approx(matrix / abs(matrix).max())
    assert not heat_maps({"NFM": np.zeros((3, 3))}).get_suptitle()


@pytest.mark.parametrize("rows", [1, 3])
def test_patches_and_their_shares_are_within_the_page(rows, tmp_path):
    labels = ("ConvRFM", "Deep ConvRFM", "CNN")[:rows]
    of_machines = {label: np.random.default_rng(0).normal(size=(8, 1, 3, 3)) for label in labels}
    shares = {label: np.full(8, 0.125) for label in labels}
    save(patches(of_machines, shares), tmp_path / "patches.png")
    page = np.asarray(Image.open(tmp_path / "patches.png").convert("L"))
    assert min(edge.min() for edge in (page[0], page[-1], page[:, 0], page[:, -1])) == 255


@pytest.mark.parametrize("channels", [1, 3])
def test_patches_fill_the_scale_about_mid_grey(channels):
    figure = patches(vectors(channels))
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["NFM", "AGOP"]
    assert [axes.get_title() for axes in figure.axes[:5]] == ["1", "2", "3", "4", "5"]
    every = [patch for row in vectors(channels).values() for patch in row]
    for image, patch in zip(images_of(figure), every, strict=True):
        shown = np.asarray(image.get_array()).reshape(4, 4, channels).transpose(2, 0, 1)
        assert shown - 0.5 == pytest.approx(patch / abs(patch).max() / 2)


def test_shares_stand_below_patches_and_a_shorter_row_ends_before():
    rows = vectors(1)
    rows["AGOP"] = rows["AGOP"][:2]
    figure = patches(rows, {label: np.linspace(0.5, 0.1, len(row)) for label, row in rows.items()})
    shares = ["50.0%", "40.0%", "30.0%", "20.0%", "10.0%", "50.0%", "10.0%"]
    assert [axes.get_xlabel() for axes in figure.axes] == shares + [""] * 3
    assert [axes.get_visible() for axes in figure.axes] == [True] * 7 + [False] * 3


def test_a_nearly_constant_patch_has_a_scale_of_its_own_and_a_star():
    flat, equal = np.linspace(0.9, 1, 9).reshape(1, 3, 3), np.ones((1, 3, 3))
    figure = patches({"NFM": np.stack([flat, equal, -flat])}, {"NFM": np.array([0.99, 0.01, 0.0004])})
    assert [axes.get_xlabel() for axes in figure.axes] == ["99.0%*", "1.0%", "< 0.1%*"]
    ranges = [(image.get_array().min(), image.get_array().max()) for image in images_of(figure)]
    assert ranges == [(0, 1), (1, 1), (0, 1)]
    assert "* from its lowest to its highest entry" in figure.get_suptitle()


@pytest.mark.parametrize("suffix", ["png", "svg"])
@pytest.mark.parametrize("draw", [lambda: heat_maps(dense(), 0.5), lambda: patches(vectors())], ids=["maps", "patches"])
def test_files_repeat_byte_for_byte(tmp_path, draw, suffix):
    paths = [tmp_path / f"{number}.{suffix}" for number in range(2)]
    for path in paths:
        save(draw(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
