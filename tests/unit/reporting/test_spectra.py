"""The figure of the eigenvalues of sources' feature matrices."""

import pandas as pd

from ansatz.reporting.figures import sources


def test_of_many_layers_some_have_a_panel_from_the_first_to_the_last():
    layers = [f"features.{number}" for number in range(20)]
    rows = [
        {"source": source, "kind": kind, "layer": layer, "shape": "3x3x3", "effective_rank": 2.5}
        | {"index": index, "eigenvalue": 2.0**-index}
        for source in ("a", "b")
        for kind in ("nfm", "agop")
        for layer in layers
        for index in range(1, 5)
    ]
    figure = sources.spectra(pd.DataFrame(rows))
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert len(titles) == 2 * sources.LAYERS
    assert titles[0] == "NFM, features.0\n3x3x3"
    assert titles[-1] == "AGOP, features.19\n3x3x3"
    assert all(len(axes.lines) == 4 for axes in figure.axes if axes.get_visible())  # a line and a circle each
