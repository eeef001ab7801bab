"""What holds for every figure that a test draws."""

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

SMALLEST = 7  # points; journals print no smaller text


@pytest.fixture(autouse=True)
def _legible(monkeypatch):
    """Text has at least 7 points; figures are printed at the size at which they are drawn."""
    drawn, create = [], Figure.__init__

    def record(figure, *args, **kwargs):
        create(figure, *args, **kwargs)
        drawn.append(figure)

    monkeypatch.setattr(Figure, "__init__", record)
    yield
    small = {text.get_text() for figure in drawn for text in figure.findobj(Text) if text.get_fontsize() < SMALLEST}
    assert not small - {""}
