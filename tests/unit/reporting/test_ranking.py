"""The ranking over datasets against counting by hand."""

import re

import numpy as np
import pandas as pd
import pytest

from ansatz.reporting import ranking

ACCURACIES = {  # (dataset, seed) -> of the initializers a, b, c
    ("svhn", 0): (0.7, 0.8, 0.9),
    ("svhn", 1): (0.7, 0.7, 0.6),
    ("svhn", 2): (0.9, 0.8, 0.7),
    ("digits", 0): (0.5, 0.6, 0.7),
    ("digits", 1): (0.5, 0.6, 0.7),
}


def runs_of(accuracies, diverged=()):
    rows = [
        {"dataset": dataset, "initializer": name, "seed": seed, "best_validation_accuracy": accuracy}
        | {"status": "diverged" if (dataset, seed, name) in diverged else "finished"}
        for (dataset, seed), values in accuracies.items()
        for name, accuracy in zip("abc", values, strict=True)
    ]
    return pd.DataFrame(rows)


def test_ranks_and_wins_are_averaged_over_seeds_and_then_over_datasets():
    table = ranking.rank(runs_of(ACCURACIES).sample(frac=1, random_state=0), "a").set_index("initializer")
    assert list(table.index) == ["c", "b", "a"], "the best first"
    assert table["rank"].to_dict() == pytest.approx(
        {"a": ((3 + 1.5 + 1) / 3 + 3) / 2, "b": ((2 + 1.5 + 2) / 3 + 2) / 2, "c": ((1 + 3 + 3) / 3 + 1) / 2}
    )
    assert table.improvement.drop("a").to_dict() == pytest.approx({"b": (1.5 / 3 + 1) / 2, "c": (1 / 3 + 1) / 2})
    assert np.isnan(table.improvement["a"])
    assert (table.rank_low < table["rank"]).all()
    assert (table.rank_high > table["rank"]).all()


def test_a_run_that_diverged_is_worse_than_all_others():
    diverged = {("svhn", 2, "a"), ("svhn", 2, "b")}
    table = ranking.rank(runs_of(ACCURACIES, diverged), "a").set_index("initializer")
    assert table.improvement["b"] == pytest.approx((1 + 0.5 + 0.5) / 3 / 2 + 0.5), "equal where both diverged"
    assert table.improvement["c"] == pytest.approx((1 + 0 + 1) / 3 / 2 + 0.5)


def test_the_table_shows_intervals_where_there_are_enough_runs():
    text = ranking.to_markdown(ranking.rank(runs_of(ACCURACIES), "a"), "a")
    assert re.search(r"\| c +\| 1\.67 \[1\.00, [23]\.\d\d\] +\| 0\.67 \[0\.\d\d, 1\.00\] +\|", text)
    few = {key: values for key, values in ACCURACIES.items() if key[0] == "svhn"}
    lines = ranking.to_markdown(ranking.rank(runs_of(few), "a"), "a").splitlines()[2:]
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]] == [
        ["a", "1.83", "baseline"],
        ["b", "1.83", "0.50"],
        ["c", "2.33", "0.33"],
    ]
