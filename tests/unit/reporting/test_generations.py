"""Tables and the figure of generations of sources, against made-up runs."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ansatz.reporting.figures import sources
from ansatz.reporting.generations import MEASURES, features, learned

CHAINS = {"c": ["a", "b", "c"], "d": ["a", "d"]}
SOURCES = ("b", "a", "c", "d")  # in another order
DRAWING = [{"initializer": f"nfm@{name}", "kind": "nfm", "source": name} for name in SOURCES]
INITIALIZERS = ["normal", *(drawing["initializer"] for drawing in DRAWING)]
LAYERS = ("x", "y")


@pytest.fixture
def tables():
    """The tables ``runs`` and ``speed`` of a study with three seeds."""
    rng = np.random.default_rng(0)
    keys = [
        {"dataset": dataset, "initializer": name, "seed": seed, "status": "ok"}
        for dataset in ("digits", "007")
        for name in INITIALIZERS
        for seed in range(3)
    ]
    runs = pd.DataFrame([key | {"best_validation_accuracy": rng.random()} for key in keys])
    speed = pd.DataFrame([key | {"area": rng.random(), "first_accuracy": rng.random()} for key in keys])
    return runs, speed.assign(baseline="normal")


@pytest.fixture
def described():
    """The tables ``spectra`` and ``alignment`` of the sources."""
    rng = np.random.default_rng(1)
    spectra = [
        {"source": name, "kind": kind, "layer": layer, "shape": "3x3x3", "effective_rank": rank, "index": index}
        | {"eigenvalue": 0.5**index}
        for name in SOURCES
        for kind in ("nfm", "agop")
        for layer in LAYERS
        for rank in [1 + rng.random()]
        for index in (1, 2, 3)
    ]
    alignment = [
        {"source": source, "other": other, "kind": kind, "layer": layer, "correlation": rng.uniform(-1, 1)}
        for position, source in enumerate(SOURCES)
        for other in SOURCES[position + 1 :]
        for kind in ("nfm", "agop")
        for layer in LAYERS
    ]
    return pd.DataFrame(spectra), pd.DataFrame(alignment)


def one(table, **values):
    """Return the only row with these values."""
    (row,) = table[np.logical_and.reduce([table[key] == value for key, value in values.items()])].itertuples()
    return row


def test_what_is_learned_is_the_paired_difference_to_the_baseline(tables):
    runs, speed = tables
    table = learned(runs, speed, CHAINS, DRAWING)
    assert len(table) == (3 + 2) * 2 * len(MEASURES)
    row = one(table, chain="c", generation=2, dataset="007", measure="area")
    assert (row.source, row.initializer, row.kind, row.baseline, row.seeds) == ("b", "nfm@b", "nfm", "normal", 3)
    own, baseline = (
        speed[(speed.dataset == "007") & (speed.initializer == name)].area.to_numpy() for name in ("nfm@b", "normal")
    )
    assert row.difference == pytest.approx((own - baseline).mean())
    interval = stats.ttest_rel(own, baseline).confidence_interval()
    assert (row.low, row.high) == pytest.approx((interval.low, interval.high))


def test_runs_that_diverge_leave_their_pairs(tables):
    runs, speed = tables
    gone = (speed.dataset == "digits") & (
        (speed.initializer.eq("nfm@a") & speed.seed.eq(0)) | (speed.initializer.eq("normal") & speed.seed.eq(1))
    )
    speed.loc[gone, "status"] = "diverged"
    table = learned(runs, speed, CHAINS, DRAWING)
    row = one(table, chain="d", generation=1, dataset="digits", measure="first_accuracy")
    assert row.seeds == 1
    assert np.isnan(row.low)
    assert one(table, chain="d", generation=1, dataset="007", measure="area").seeds == 3
    everything = learned(runs, speed.assign(status="diverged"), CHAINS, DRAWING)
    assert everything.empty


def test_features_are_compared_with_the_generation_before_and_with_the_first(described):
    spectra, alignment = described
    table = features(spectra, alignment, CHAINS)
    assert table.groupby("chain", sort=False).size().to_dict() == {"c": 6, "d": 4}
    row = one(table, chain="c", generation=3, layer="y")
    own = alignment[(alignment.kind == "nfm") & (alignment.layer == "y")]
    assert row.correlation_previous == one(own, source="b", other="c").correlation
    assert row.correlation_first == one(own, source="a", other="c").correlation
    second = one(table, chain="c", generation=2, layer="y")
    assert second.correlation_first == second.correlation_previous == one(own, source="b", other="a").correlation
    assert (
        row.effective_rank
        == spectra[(spectra.source == "c") & (spectra.kind == "nfm") & (spectra.layer == "y")].effective_rank.unique()
    )
    assert table[table.generation == 1].correlation_previous.isna().all()


def test_the_figure_starts_from_the_baseline_and_follows_each_chain(tables, described):
    table, matrices = learned(*tables, CHAINS, DRAWING), features(*described, CHAINS)
    figure = sources.generations(table, matrices)
    grid = np.reshape(figure.axes, (2 + 2, 3))
    assert [axes.get_title() for axes in grid[0]] == list(MEASURES.values())
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["digits, points", "007, points", "chain to c", "chain to d"]
    points = grid[0, 1].containers[0].lines[0].get_ydata()
    own = table[(table.chain == "c") & (table.dataset == "digits") & (table.measure == "area")]
    assert points.tolist() == pytest.approx([0, *100 * own.difference])
    ranks = grid[2, 2].lines[1].get_ydata()
    assert ranks.tolist() == matrices[(matrices.chain == "c") & (matrices.layer == "y")].effective_rank.tolist()
    above, below = figure.legends
    assert [text.get_text() for text in above.texts] == ["nfm, to c", "nfm, to d"]
    assert [text.get_text() for text in below.texts] == list(LAYERS)
    single = sources.generations(table[table.chain == "c"], matrices[matrices.chain == "c"])
    assert [text.get_text() for text in single.legends[0].texts] == ["nfm"]


def test_without_a_finished_pair_the_figure_says_so(tables, described):
    table = learned(*tables, CHAINS, DRAWING)
    figure = sources.generations(table.iloc[:0], features(*described, CHAINS))
    assert "no run with a source's features finished" in figure.texts[0].get_text()


def test_spectra_have_a_panel_for_each_kind_and_layer_and_circles_at_effective_ranks(described):
    spectra, _ = described
    figure = sources.spectra(spectra)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == [
        f"{kind}, {layer}\n3x3x3" for kind in ("NFM", "AGOP") for layer in LAYERS
    ]
    line, circle = panels[3].lines[:2]
    own = spectra[(spectra.source == "b") & (spectra.kind == "agop") & (spectra.layer == "y")]
    assert line.get_ydata().tolist() == own.eigenvalue.tolist()
    assert circle.get_xdata() == [own.effective_rank.iloc[0]]
    assert panels[0].get_xscale() == panels[0].get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].texts] == list(SOURCES)


def test_spectra_of_many_layers_are_chosen_evenly_and_of_other_patches_kept_apart(described):
    spectra, _ = described
    nfm = spectra[spectra.kind == "nfm"]
    many = pd.concat([nfm[nfm.layer == "x"].assign(layer=f"layer {number}") for number in range(23)])
    panels = [axes.get_title().partition("\n")[0] for axes in sources.spectra(many).axes if axes.get_visible()]
    assert panels == [f"NFM, layer {number}" for number in range(0, 23, 2)]
    other = nfm.assign(shape=nfm["shape"].mask(nfm.source == "a", "1x3x3"))
    panels = [axes for axes in sources.spectra(other).axes if axes.get_visible()]
    assert [len(axes.lines) // 2 for axes in panels] == [3, 3, 1, 1]


def test_eigenvalues_that_are_zero_or_missing_are_not_drawn(described):
    """A dead layer has an AGOP of zero, and no shares of its trace."""
    spectra, _ = described
    dead = (spectra.kind == "agop") & (spectra.source == "a")
    spectra.loc[dead, ["eigenvalue", "effective_rank"]] = np.nan
    panels = [axes for axes in sources.spectra(spectra).axes if axes.get_visible()]
    assert [sum(len(line.get_xdata()) > 1 for line in axes.lines) for axes in panels] == [4, 4, 3, 3]


def test_alignment_is_the_mean_over_layers_in_both_directions(described):
    _, alignment = described
    figure = sources.alignment(alignment)
    nfm, agop = figure.axes[:2]
    cells = np.asarray(nfm.images[0].get_array())
    own = alignment[(alignment.kind == "nfm") & (alignment.source == "b") & (alignment.other == "c")]
    assert cells[0, 2] == cells[2, 0] == pytest.approx(own.correlation.mean())
    assert cells.diagonal().tolist() == [1] * 4
    assert [label.get_text() for label in nfm.get_yticklabels()] == list(SOURCES)
    assert (nfm.get_title(), agop.get_title()) == ("NFM", "AGOP")
    assert f"{cells[0, 2]:.2f}".replace("-", "−") in [text.get_text() for text in nfm.texts]


def test_pairs_that_cannot_be_compared_are_empty(described):
    _, alignment = described
    some = alignment[(alignment.kind == "nfm") & ~((alignment.source == "b") & (alignment.other == "c"))]
    cells = sources.alignment(some).axes[0].images[0].get_array()
    assert np.isnan(np.ma.filled(cells, np.nan)[0, 2])
    assert "no two sources" in sources.alignment(alignment.iloc[:0]).texts[0].get_text()
