"""The table of the initialization study against SciPy and plain arithmetic."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ansatz.reporting import initialization


def runs(values, dataset="digits", test=None, diverged=()):
    rows = []
    for initializer, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            status = "diverged" if (initializer, seed) in diverged else "finished"
            rows.append(
                {
                    "dataset": dataset,
                    "initializer": initializer,
                    "seed": seed,
                    "status": status,
                    "best_validation_accuracy": accuracy,
                    "test_accuracy": test,
                }
            )
    return pd.DataFrame(rows)


BASELINE = "kaiming_uniform"
VALUES = {"kaiming_uniform": [0.90, 0.92, 0.91], "nfm": [0.95, 0.96, 0.97]}
PUBLISHED = pd.DataFrame({"initializer": ["nfm"], "svhn": [92.79]})


def test_means_spreads_and_paired_intervals():
    summary = initialization.summarize(runs(VALUES), BASELINE).set_index("initializer")
    assert summary.validation_mean["nfm"] == pytest.approx(0.96)
    assert summary.validation_std["nfm"] == pytest.approx(np.std(VALUES["nfm"], ddof=1))
    differences = np.subtract(VALUES["nfm"], VALUES["kaiming_uniform"])
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    interval = summary.loc["nfm", ["difference_low", "difference_high"]]
    assert interval.tolist() == pytest.approx([expected.low, expected.high])
    assert np.isnan(summary.difference["kaiming_uniform"])


def test_runs_pair_by_seed_not_by_position():
    shuffled = runs(VALUES).sample(frac=1, random_state=1)
    a, b = (initialization.summarize(r, BASELINE).set_index("initializer").loc["nfm"] for r in (runs(VALUES), shuffled))
    assert a.difference == pytest.approx(b.difference)
    assert a.difference_low == pytest.approx(b.difference_low)


def test_one_seed_has_no_spread():
    one_seed = runs({"kaiming_uniform": [0.9], "nfm": [0.95]})
    summary = initialization.summarize(one_seed, BASELINE).set_index("initializer")
    assert summary.difference["nfm"] == pytest.approx(0.05)
    assert summary.loc["nfm", ["validation_std", "difference_low"]].isna().all()
    table = initialization.layout(initialization.with_published(summary.reset_index(), PUBLISHED))
    assert table.loc["nfm", ("digits", "validation")] == "**95.00**"
    assert table.loc["nfm", ("digits", "difference")] == "+5.00"


def test_diverged_runs_are_shown_and_left_out_of_means():
    diverged = {("nfm", 0), ("agop", 0), ("agop", 1), ("agop", 2)}
    values = VALUES | {"agop": [0.1, 0.1, np.nan]}
    summary = initialization.summarize(runs(values, diverged=diverged), BASELINE)
    table = initialization.layout(initialization.with_published(summary, PUBLISHED))
    assert table.loc["agop", ("digits", "validation")] == "diverged"
    assert table.loc["nfm", ("digits", "validation")] == "**96.50 ± 0.71 (1 of 3 diverged)**"


def test_any_initializer_can_be_the_baseline():
    summary = initialization.summarize(runs(VALUES), "nfm").set_index("initializer")
    assert summary.difference["kaiming_uniform"] == pytest.approx(-0.05)
    assert np.isnan(summary.difference["nfm"])
    assert set(summary.baseline) == {"nfm"}


def test_differences_that_do_not_exist_are_shown_as_such():
    """Nothing vanishes where the baseline diverged."""
    summary = initialization.summarize(runs(VALUES, diverged={(BASELINE, seed) for seed in range(3)}), BASELINE)
    table = initialization.layout(initialization.with_published(summary, PUBLISHED))
    assert table["digits", "difference"].to_dict() == {"kaiming_uniform": "baseline", "nfm": "–"}


@pytest.fixture
def summary():
    both = pd.concat([runs(VALUES, "svhn", test=0.5), runs(VALUES, "tiny_imagenet", test=0.25)])
    return initialization.with_published(initialization.summarize(both, BASELINE), PUBLISHED)


def test_markdown(summary):
    lines = initialization.to_markdown(summary).splitlines()
    assert lines[0].count("|") == lines[2].count("|")
    assert "svhn: best validation" in lines[0]
    assert "Δ to kaiming_uniform [95 %]" in lines[0]
    assert "**96.00 ± 1.00**" in lines[3]
    assert "92.79" in lines[3]
    assert "50.00 ± 0.00" in lines[3]
    assert "+5.00 [+2.52, +7.48]" in lines[3]


def test_latex(summary):
    text = initialization.to_latex(summary)
    assert r"\toprule" in text
    assert r"\textbf{96.00 $\pm$ 1.00}" in text
    assert r"tiny\_imagenet" in text
    assert r"$\Delta$ to kaiming\_uniform [95 \%]" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({line.count("&") for line in body[1:]}) == 1


def test_negative_differences_have_a_minus():
    worse = {"kaiming_uniform": [0.9, 0.9], "nfm": [0.8, 0.7]}
    table = initialization.layout(
        initialization.with_published(initialization.summarize(runs(worse), BASELINE), PUBLISHED)
    )
    assert table.loc["nfm", ("digits", "difference")].startswith("−15.00 [−78.53, +48.53]")
