"""How figures are saved: for a screen without blank margins, for a paper as wide as its columns."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from ansatz.reporting.figures.matrices import heat_maps
from ansatz.reporting.figures.style import STYLE, save
from ansatz.reporting.formatting import folded

MM = 25.4 / STYLE["savefig.dpi"]  # of a pixel


def lines(width):
    figure = Figure(figsize=(width, 2), layout="constrained")
    figure.subplots().plot([1, 2])
    return figure


def maps(count):
    return heat_maps({str(number): np.eye(3) for number in range(count)})


@pytest.mark.parametrize(
    ("figure", "expected"), [(lines(3), 85), (lines(4.5), 85), (lines(5), 174), (lines(12), 174), (maps(1), 85)]
)
def test_figures_of_papers_have_the_width_of_a_column_or_of_the_page(figure, expected, tmp_path):
    save(figure, tmp_path / "a.png", tmp_path / "a.pdf", style="paper")
    assert Image.open(tmp_path / "a.png").width * MM == pytest.approx(expected, abs=2 * MM)
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", (tmp_path / "a.pdf").read_bytes())
    assert float(box.group(1)) / 72 * 25.4 == pytest.approx(expected, abs=0.1)


def test_pictures_keep_their_shape_and_curves_their_height(tmp_path):
    save(maps(4), tmp_path / "screen.png")
    save(maps(4), tmp_path / "paper.png", style="paper")
    screen, paper = (Image.open(tmp_path / f"{style}.png") for style in ("screen", "paper"))
    assert paper.height < 0.9 * screen.height
    save(lines(12), tmp_path / "lines.png", style="paper")
    assert Image.open(tmp_path / "lines.png").height > 0.9 * 2 * STYLE["savefig.dpi"]


@pytest.mark.parametrize("style", ["screen", "paper"])
def test_no_margin_is_blank(style, tmp_path):
    save(maps(3), tmp_path / "a.png", style=style)
    ink = np.asarray(Image.open(tmp_path / "a.png").convert("L")) < 255
    rows = np.flatnonzero(ink.any(axis=1))
    assert rows[0] < 15
    assert rows[-1] > len(ink) - 15


def test_text_of_a_pdf_is_embedded_as_text_without_a_date(tmp_path):
    save(lines(3), tmp_path / "a.pdf", style="paper")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content  # TrueType
    assert b"/CreationDate" not in content


def test_long_names_are_folded_at_a_separator():
    assert folded("kaiming_nfm@tiny_imagenet") == "kaiming_nfm@tiny\n_imagenet"
    assert folded("kaiming_agop+lsuv") == "kaiming_agop+lsuv"
    assert folded("a" * 40) == "a" * 40
