"""The table of machines: differences to the baseline, and what is read of their declared properties."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ansatz.files.tables import SCORES
from ansatz.reporting.machines import baseline_of, present, read_declared, summarize, to_markdown

ACCURACIES = {  # by machine and layers, of seeds 0, 1 and 2
    ("cntk", 0): [0.70, 0.75, 0.71],
    ("convrfm", 1): [0.80, 0.78, 0.83],
    ("deep_convrfm", 1): [0.80, 0.78, 0.83],
    ("deep_convrfm", 2): [0.79, 0.81, 0.86],
}
MACHINES = read_declared(
    {"cntk": {"title": "CNTK", "baseline": True}, "convrfm": {"learns_features": True}, "deep_convrfm": {}}
)


def scores(seeds=(0, 1, 2), noise=0.5):
    rows = [
        ("bars", "bars", noise, machine, seed, layers, ACCURACIES[machine, layers][seed], 250, 1000, 2.0 + seed)
        for machine, layers in ACCURACIES
        for seed in seeds
    ]
    return pd.DataFrame(rows, columns=SCORES)


def test_machines_are_compared_with_the_baseline_seed_by_seed_at_each_level_of_noise():
    squared = scores(noise=2).assign(accuracy=lambda table: table.accuracy**2)
    tidy = pd.concat([scores(), squared]).sample(frac=1, random_state=2)
    summary = summarize(tidy, MACHINES).set_index(["noise", "machine", "layers"])
    assert len(summary) == 2 * len(ACCURACIES)
    for (noise, machine, layers), row in summary.iterrows():
        power = 1 if noise == 0.5 else 2
        own, baseline = (np.power(ACCURACIES[key], power) for key in ((machine, layers), ("cntk", 0)))
        assert (row.seeds, row.train, row.test) == (3, 250, 1000)
        assert (row.accuracy, row.seconds) == pytest.approx((own.mean(), 3.0))
        assert row.accuracy_std == pytest.approx(own.std(ddof=1))
        if machine == "cntk":
            assert np.isnan([row.difference_low, row.difference_high]).all()
        else:
            expected = stats.ttest_rel(own, baseline).confidence_interval(0.95)
            differences = [row.difference, row.difference_low, row.difference_high]
            assert differences == pytest.approx([(own - baseline).mean(), expected.low, expected.high])


def test_the_table_shows_differences_in_percentage_points():
    lines = to_markdown(summarize(scores(), MACHINES), MACHINES).splitlines()
    assert "| Δ CNTK [95 %]" in "".join(lines)
    cells = {tuple(line.split("|")[i].strip() for i in (4, 5)): line.split("|") for line in lines if "bars" in line}
    assert cells["cntk", "0"][9].strip() == "72.0 ± 2.6"
    assert cells["cntk", "0"][10].strip() == ""
    assert cells["deep_convrfm", "2"][9].strip() == "82.0 ± 3.6"
    assert cells["deep_convrfm", "2"][10].strip() == "+10.0 [−1.4, +21.4]"
    one_seed = to_markdown(summarize(scores(seeds=(0,)), MACHINES), MACHINES)
    assert re.search(r"\| convrfm .*\| 80\.0 +\| \+10\.0 +\|", one_seed)


def test_the_baseline_is_the_declared_one_whatever_its_name():
    names = {"cntk": "mine", "convrfm": "cntk", "deep_convrfm": "other"}
    machines = {names[label]: machine for label, machine in MACHINES.items()}
    renamed = summarize(scores().replace({"machine": names}), machines)
    pd.testing.assert_frame_equal(
        renamed.replace({"machine": {b: a for a, b in names.items()}}), summarize(scores(), MACHINES)
    )


def test_without_a_baseline_nothing_is_compared():
    machines = read_declared({"convrfm": {}, "deep_convrfm": {}})
    summary = summarize(scores().query("machine != 'cntk'"), machines)
    assert summary[["difference", "difference_low", "difference_high"]].isna().all(axis=None)
    assert "Δ" not in to_markdown(summary, machines)


def test_declared_properties_are_read_by_label_in_their_order():
    machines = read_declared(
        {
            "b": {"title": "B", "learns_features": True, "starts_from": "a", "without": ("kernel",)},
            "b_depth-5": {"title": "B"},
            "a": {"title": "", "baseline": True},
        }
    )
    assert [machine.title for machine in machines.values()] == ["b", "b_depth-5", "a"]  # no two titles are alike
    assert (machines["b"].starts_from, baseline_of(machines)) == ("a", "a")
    assert list(present(machines, ["z", "a", "y", "b"])) == ["b", "a", "y", "z"]
    assert present(machines, ["y"])["y"].title == "y"
