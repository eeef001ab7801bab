"""The table's numbers against SciPy's and plain arithmetic."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ansatz import statistics
from ansatz.store import ALIGNMENT, SCORES, Evolution, Followed


def runs(values, dataset="digits", test=None, diverged=()):
    rows = []
    for initializer, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            bad = (initializer, seed) in diverged
            rows.append(
                {
                    "dataset": dataset,
                    "initializer": initializer,
                    "seed": seed,
                    "status": "diverged" if bad else "finished",
                    "best_validation_accuracy": accuracy,
                    "test_accuracy": test,
                }
            )
    return pd.DataFrame(rows)


VALUES = {"kaiming_uniform": [0.90, 0.92, 0.91], "nfm": [0.95, 0.96, 0.97]}
NONE_PUBLISHED = pd.DataFrame({"initializer": ["nfm"], "svhn": [92.79]})


def test_means_spreads_and_paired_intervals():
    summary = statistics.summarize(runs(VALUES)).set_index("initializer")
    assert summary.validation_mean["nfm"] == pytest.approx(0.96)
    assert summary.validation_std["nfm"] == pytest.approx(np.std(VALUES["nfm"], ddof=1))
    differences = np.subtract(VALUES["nfm"], VALUES["kaiming_uniform"])
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    found = summary.loc["nfm", ["difference_low", "difference_high"]]
    assert found.tolist() == pytest.approx([expected.low, expected.high])
    assert np.isnan(summary.difference["kaiming_uniform"])


def test_runs_pair_by_seed_not_by_position():
    shuffled = runs(VALUES).sample(frac=1, random_state=1)
    a, b = (statistics.summarize(r).set_index("initializer").loc["nfm"] for r in (runs(VALUES), shuffled))
    assert a.difference == pytest.approx(b.difference)
    assert a.difference_low == pytest.approx(b.difference_low)


MACHINES = {  # accuracies by machine and layers, of seeds 0, 1 and 2
    ("cntk", 0): [0.70, 0.75, 0.71],
    ("convrfm", 1): [0.80, 0.78, 0.83],
    ("deep_convrfm", 1): [0.80, 0.78, 0.83],
    ("deep_convrfm", 2): [0.79, 0.81, 0.86],
}


def of_machines(seeds=(0, 1, 2), noise=0.5):
    rows = [
        ("bars", "bars", noise, machine, seed, layers, MACHINES[machine, layers][seed], 250, 1000, 2.0 + seed)
        for machine, layers in MACHINES
        for seed in seeds
    ]
    return pd.DataFrame(rows, columns=SCORES)


def test_machines_are_compared_with_the_plain_kernel_seed_by_seed_at_each_level_of_noise():
    tidy = pd.concat([of_machines(), of_machines(noise=2).assign(accuracy=lambda one: one.accuracy**2)])
    tidy = tidy.sample(frac=1, random_state=2)
    summary = statistics.over_machines(tidy).set_index(["noise", "machine", "layers"])
    assert len(summary) == 2 * len(MACHINES)
    for (noise, machine, layers), row in summary.iterrows():
        power = 1 if noise == 0.5 else 2
        own, plain = (np.power(MACHINES[key], power) for key in ((machine, layers), ("cntk", 0)))
        assert (row.seeds, row.train, row.test) == (3, 250, 1000)
        assert (row.accuracy, row.seconds) == pytest.approx((own.mean(), 3.0))
        assert row.accuracy_std == pytest.approx(own.std(ddof=1))
        if machine == "cntk":
            assert np.isnan([row.difference_low, row.difference_high]).all()
        else:
            expected = stats.ttest_rel(own, plain).confidence_interval(0.95)
            found = [row.difference, row.difference_low, row.difference_high]
            assert found == pytest.approx([(own - plain).mean(), expected.low, expected.high])


def test_the_table_of_machines_says_how_they_differ_in_points():
    lines = statistics.scores_to_markdown(statistics.over_machines(of_machines())).splitlines()
    cells = {tuple(line.split("|")[i].strip() for i in (4, 5)): line.split("|") for line in lines if "bars" in line}
    assert cells["cntk", "0"][9].strip() == "72.0 ± 2.6"
    assert cells["cntk", "0"][10].strip() == ""
    assert cells["deep_convrfm", "2"][9].strip() == "82.0 ± 3.6"
    assert cells["deep_convrfm", "2"][10].strip() == "+10.0 [−1.4, +21.4]"
    one = statistics.scores_to_markdown(statistics.over_machines(of_machines(seeds=(0,))))
    assert re.search(r"\| convrfm .*\| 80\.0 +\| \+10\.0 +\|", one)


def test_one_seed_has_no_spread():
    summary = statistics.summarize(runs({"kaiming_uniform": [0.9], "nfm": [0.95]})).set_index("initializer")
    assert summary.difference["nfm"] == pytest.approx(0.05)
    assert summary.loc["nfm", ["validation_std", "difference_low"]].isna().all()
    table = statistics.layout(statistics.with_published(summary.reset_index(), NONE_PUBLISHED))
    assert table.loc["nfm", ("digits", "validation")] == "**95.00**"
    assert table.loc["nfm", ("digits", "difference")] == "+5.00"


def test_diverged_runs_are_shown_and_left_out_of_means():
    lost = {("nfm", 0), ("agop", 0), ("agop", 1), ("agop", 2)}
    values = VALUES | {"agop": [0.1, 0.1, np.nan]}
    summary = statistics.summarize(runs(values, diverged=lost))
    table = statistics.layout(statistics.with_published(summary, NONE_PUBLISHED))
    assert table.loc["agop", ("digits", "validation")] == "diverged"
    assert table.loc["nfm", ("digits", "validation")] == "**96.50 ± 0.71 (1 of 3 diverged)**"


def test_a_baseline_that_was_not_run_leaves_no_differences():
    table = statistics.layout(
        statistics.with_published(statistics.summarize(runs({"nfm": [0.9, 0.8]})), NONE_PUBLISHED)
    )
    assert list(table.columns) == [("digits", "validation")]


@pytest.fixture
def summary():
    both = pd.concat([runs(VALUES, "svhn", test=0.5), runs(VALUES, "tiny_imagenet", test=0.25)])
    return statistics.with_published(statistics.summarize(both), NONE_PUBLISHED)


def test_markdown(summary):
    lines = statistics.to_markdown(summary).splitlines()
    assert lines[0].count("|") == lines[2].count("|")
    assert "svhn: best validation" in lines[0]
    assert "Δ to kaiming_uniform [95 %]" in lines[0]
    assert "**96.00 ± 1.00**" in lines[3]
    assert "92.79" in lines[3]
    assert "50.00 ± 0.00" in lines[3]
    assert "+5.00 [+2.52, +7.48]" in lines[3]


def test_latex(summary):
    text = statistics.to_latex(summary)
    assert r"\toprule" in text
    assert r"\textbf{96.00 $\pm$ 1.00}" in text
    assert r"tiny\_imagenet" in text
    assert r"$\Delta$ to kaiming\_uniform [95 \%]" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({line.count("&") for line in body[1:]}) == 1


def test_negative_differences_have_a_minus():
    worse = {"kaiming_uniform": [0.9, 0.9], "nfm": [0.8, 0.7]}
    table = statistics.layout(statistics.with_published(statistics.summarize(runs(worse)), NONE_PUBLISHED))
    assert table.loc["nfm", ("digits", "difference")].startswith("−15.00 [−78.53, +48.53]")


@pytest.fixture
def aligned():
    """Two variants, one with two seeds, of two layers each."""
    rows = []
    for number, (variant, seed, layer) in enumerate(
        [("a", 0, "x"), ("a", 0, "y"), ("a", 1, "x"), ("a", 1, "y"), ("b", 0, "x"), ("b", 0, "y")]
    ):
        values = {name: number / 10 for name in ALIGNMENT if name.startswith(("correlation_", "cosine_"))}
        known = {"experiment": "e", "variant": variant, "dataset": "d", "seed": seed, "layer": layer, "shape": "3x3x3"}
        accuracy = {"validation_accuracy": 0.5 + seed / 10, "test_accuracy": np.nan}
        rows.append(known | {"images": 8, "estimator": "exact", "standard_error": 0.0} | accuracy | values)
    return pd.DataFrame(rows)


def test_what_was_compared_is_averaged_over_seeds(aligned):
    table = statistics.over_seeds(aligned)
    assert table[["variant", "layer", "seeds"]].to_numpy().tolist() == [
        ["a", "x", 2],
        ["a", "y", 2],
        ["b", "x", 1],
        ["b", "y", 1],
    ]
    assert table.correlation_nfm_agop.tolist() == pytest.approx([0.1, 0.2, 0.4, 0.5])


def test_a_network_is_summed_up_over_layers_and_seeds(aligned):
    a, b = statistics.over_layers(aligned).itertuples()
    assert (a.networks, a.layers, b.networks, b.layers) == (2, 4, 1, 2)
    assert (a.cosine_nfm_agop, b.cosine_nfm_agop) == pytest.approx((0.15, 0.45))
    assert a.cosine_nfm_agop_std == pytest.approx(np.std([0, 0.1, 0.2, 0.3], ddof=1))
    assert a.validation_accuracy == pytest.approx(0.55)  # of networks, not of layers


def test_the_table_of_the_ansatz_leaves_out_what_was_not_measured(aligned):
    text = statistics.alignment_to_markdown(aligned)
    assert "| 55.00%" in text
    assert "test accuracy" not in text
    assert "0.150 ± 0.129" in text


def test_a_training_that_was_followed_stands_beside_the_published_one():
    correlations = {pair: np.array([0.1, 0.5, 0.7, 1.0]) for pair in statistics.EVOLVED_PAIRS}
    followed = Followed(np.zeros(4), np.zeros(4), np.zeros(4), correlations)
    curves = {"epoch": np.array([0, 0.5, 1, 2]), "step": np.array([0, 2, 4, 8])}
    curves |= {f"{part}_accuracy": np.array([0.1, 0.2, 0.3, 0.4]) for part in ("train_eval", "validation")}
    metrics = pd.DataFrame({"epoch": [1, 2], "train_accuracy": [0.25, 0.35]})
    published = pd.DataFrame({"epoch": [2], "train_accuracy": [61.2], "validation_accuracy": [82.6]})
    evolution = Evolution(curves, {"x": followed, "y": followed}, np.zeros((1, 2, 2), np.uint8))
    table = statistics.evolved(metrics, evolution, published)
    assert table.epoch.tolist() == [0, 1, 2]
    assert table.nfm_final_nfm.tolist() == [0.1, 0.7, 1.0]
    assert table.train_accuracy.tolist() == pytest.approx([np.nan, 0.25, 0.35], nan_ok=True)
    assert table.published_validation.tolist() == pytest.approx([np.nan, np.nan, 0.826], nan_ok=True)
    assert "| 2       | 35.00   | 61.20               | 40.00        | 82.60" in statistics.evolution_to_markdown(table)
