"""The table of the initialization study against SciPy and plain arithmetic."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ansatz.reporting import initialization
from multiple_tests import holm_by_definition


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


def laid_out(summary, same=()):
    return initialization.layout(initialization.with_published(summary, PUBLISHED, same))


def test_one_seed_has_no_spread_and_no_test():
    one_seed = runs({"kaiming_uniform": [0.9], "nfm": [0.95]})
    summary = initialization.summarize(one_seed, BASELINE)
    table = laid_out(summary)
    summary = summary.set_index("initializer")
    assert summary.difference["nfm"] == pytest.approx(0.05)
    assert summary.loc["nfm", ["validation_std", "difference_low", "p", "p_best"]].isna().all()
    assert table.loc[("digits", "nfm")].to_dict() == {"validation": "95.00", "difference": "+5.00", "p": "–"}


def test_diverged_runs_are_shown_and_left_out_of_means():
    diverged = {("nfm", 0), ("agop", 0), ("agop", 1), ("agop", 2)}
    values = VALUES | {"agop": [0.1, 0.1, np.nan]}
    table = laid_out(initialization.summarize(runs(values, diverged=diverged), BASELINE)).loc["digits"]
    assert table.validation["agop"] == "diverged"
    assert table.validation["nfm"] == "**96.50 ± 0.71 (1 of 3 diverged)**"


def test_any_initializer_can_be_the_baseline():
    summary = initialization.summarize(runs(VALUES), "nfm").set_index("initializer")
    assert summary.difference["kaiming_uniform"] == pytest.approx(-0.05)
    assert np.isnan(summary.difference["nfm"])
    assert set(summary.baseline) == {"nfm"}


def test_differences_that_do_not_exist_are_shown_as_such():
    """Nothing vanishes where the baseline diverged."""
    diverged = {(BASELINE, seed) for seed in range(3)}
    table = laid_out(initialization.summarize(runs(VALUES, diverged=diverged), BASELINE)).loc["digits"]
    assert table.difference.to_dict() == {"kaiming_uniform": "baseline", "nfm": "–"}
    assert table.p.to_dict() == {"kaiming_uniform": "", "nfm": "–"}


def test_p_values_are_corrected_for_all_comparisons_of_the_table():
    generator = np.random.default_rng(0)
    names = [BASELINE, "nfm", "agop"]
    values = {name: 0.8 + 0.02 * (name == "nfm") + generator.normal(0, 0.01, 5) for name in names}
    both = pd.concat([runs(values, "svhn"), runs({name: each[::-1] / 2 for name, each in values.items()}, "digits")])
    summary = initialization.summarize(both, BASELINE)
    single = [stats.ttest_rel(values[name], values[BASELINE]).pvalue for name in ("nfm", "agop")]
    assert summary.p.dropna().tolist() == pytest.approx(holm_by_definition(single * 2))
    to_best = [stats.ttest_rel(values[name], values["nfm"]).pvalue for name in (BASELINE, "agop")]
    p_best = summary[summary.dataset == "svhn"].set_index("initializer").p_best
    assert p_best[[BASELINE, "agop"]].tolist() == pytest.approx(holm_by_definition(to_best))
    assert p_best["nfm"] == 1


def test_the_best_and_what_the_test_does_not_tell_from_it_are_bold():
    values = {BASELINE: [0.80, 0.81, 0.82, 0.83], "nfm": [0.90, 0.92, 0.92, 0.93], "agop": [0.93, 0.90, 0.90, 0.91]}
    table = laid_out(initialization.summarize(runs(values), BASELINE)).loc["digits"]
    assert [name for name, cell in table.validation.items() if cell.startswith("**")] == ["nfm", "agop"]


@pytest.fixture
def summary():
    both = pd.concat([runs(VALUES, "svhn", test=0.5), runs(VALUES, "tiny_imagenet", test=0.25)])
    return initialization.with_published(initialization.summarize(both, BASELINE), PUBLISHED, ["svhn"])


def test_markdown(summary):
    header, _, *lines = initialization.to_markdown(summary).splitlines()
    names = [
        "dataset",
        "initializer",
        "best validation",
        "test",
        "Δ to kaiming_uniform [95 %]",
        "p (Holm)",
        "published",
    ]
    assert cells(header) == names
    difference = "+5.00 [+2.52, +7.48]"
    assert cells(lines[1]) == ["svhn", "nfm", "**96.00 ± 1.00**", "50.00 ± 0.00", difference, "0.026", "92.79"]
    assert cells(lines[2]) == ["tiny_imagenet", BASELINE, "91.00 ± 1.00", "25.00 ± 0.00", "baseline", "", ""]


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_numbers_published_for_other_settings_are_marked(summary):
    assert "In parentheses" not in initialization.caption(summary)
    elsewhere = summary.assign(same=False)
    assert initialization.layout(elsewhere).published["svhn", "nfm"] == "(92.79)"
    text = "In parentheses: published for other settings (VGG11 at 224 px, 20 epochs)."
    assert text in initialization.caption(elsewhere)


def test_html(summary):
    text = initialization.to_html(summary, "Accuracies in percent, p < 5 %.")
    assert "p &lt; 5 %." in text
    bold = re.search(r"#(\S+_row1_col2).*?{\s*font-weight: bold", text, re.DOTALL)
    assert bold
    assert re.search(rf'id="{bold[1]}"[^>]*>96.00 ± 1.00<', text)
    assert "<script>" not in initialization.to_html(summary.assign(dataset="<script>"))


def test_latex(summary):
    text = initialization.to_latex(summary, "Accuracies in percent, p < 5 %.")
    assert r"\toprule" in text
    assert r"\textbf{96.00 $\pm$ 1.00}" in text
    assert r"tiny\_imagenet & kaiming\_uniform & 91.00" in text
    assert r"$\Delta$ to kaiming\_uniform [95 \%]" in text
    assert r"\caption{Accuracies in percent, p $<$ 5 \%.}" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({line.count("&") for line in body}) == 1


def test_negative_differences_have_a_minus():
    worse = runs({"kaiming_uniform": [0.9, 0.9], "nfm": [0.8, 0.7]})
    summary = initialization.summarize(worse, BASELINE)
    assert laid_out(summary).difference["digits", "nfm"] == "−15.00 [−78.53, +48.53]"
    latex = initialization.to_latex(initialization.with_published(summary, PUBLISHED, []))
    assert "$-$15.00 [$-$78.53, +48.53]" in latex
