"""Chosen learning rates, and those at the edge of the grid."""

import pandas as pd
import pytest

from ansatz.reporting import initialization, tuning

RATES = (0.001, 0.01, 0.1)
CHOSEN = {
    ("svhn", "kaiming_uniform"): 0.01,
    ("svhn", "nfm"): 0.1,
    ("digits", "kaiming_uniform"): 0.001,
    ("digits", "nfm"): 0.001,  # diverged everywhere
}
DIVERGED = ("digits", "nfm")


@pytest.fixture
def table():
    rows = [
        {"dataset": dataset, "initializer": name, "learning_rate": rate, "seed": seed}
        | {"chosen": rate == chosen, "status": "finished", "best_validation_accuracy": 0.9 if rate == chosen else 0.5}
        | ({"status": "diverged", "best_validation_accuracy": None} if (dataset, name) == DIVERGED else {})
        for (dataset, name), chosen in CHOSEN.items()
        for rate in RATES
        for seed in (100, 101)
    ]
    return pd.DataFrame(rows)


def test_a_chosen_rate_at_the_edge_of_the_grid_is_flagged(table):
    chosen = tuning.chosen_rates(table.sample(frac=1, random_state=0)).set_index(["dataset", "initializer"])
    assert chosen.learning_rate.to_dict() == CHOSEN
    assert chosen.edge.to_dict() == {
        ("svhn", "kaiming_uniform"): "",
        ("svhn", "nfm"): "largest",
        ("digits", "kaiming_uniform"): "smallest",
        ("digits", "nfm"): "",
    }


def test_of_equally_good_rates_none_is_at_the_edge(table):
    table.loc[(table.dataset == "svhn") & (table.initializer == "nfm"), "best_validation_accuracy"] = 0.5
    edges = tuning.chosen_rates(table).set_index(["dataset", "initializer"]).edge
    assert edges["svhn", "nfm"] == ""
    assert edges["digits", "kaiming_uniform"] == "smallest"


def test_the_grid_of_an_initializer_is_its_own(table):
    """0.1 is the largest rate of nfm; with a larger one that only kaiming_uniform was tried with, it still is."""
    further = table[table.initializer == "kaiming_uniform"].assign(learning_rate=1.0, chosen=False)
    edges = tuning.chosen_rates(pd.concat([table, further])).set_index(["dataset", "initializer"]).edge
    assert edges["svhn", "nfm"] == "largest"


def test_grids_that_may_lack_the_best_rate_are_told_in_a_line_each(table):
    assert tuning.warnings_of(table) == [
        "svhn: the best learning rate of nfm, 0.1, is the largest tried; add larger ones to "
        "initialization.tuning.learning_rates",
        "digits: the best learning rate of kaiming_uniform, 0.001, is the smallest tried; add smaller ones to "
        "initialization.tuning.learning_rates",
        "digits: nfm diverges at every learning rate tried; add smaller ones to initialization.tuning.learning_rates",
    ]


def test_each_initializer_has_its_own_choice(table):
    outcomes = table.drop(columns="chosen").to_dict("records")
    pd.testing.assert_frame_equal(tuning.tabulate(outcomes, list(CHOSEN.values()))[table.columns], table)


def test_the_table_of_accuracies_shows_the_rates(table):
    rows = [
        {"dataset": dataset, "initializer": name, "seed": seed, "best_validation_accuracy": 0.5 + seed / 10}
        | {"status": "finished", "test_accuracy": None}
        for dataset, name in CHOSEN
        for seed in range(3)
    ]
    published = pd.DataFrame({"initializer": ["nfm"], "cifar10": [79.32]})
    untuned = initialization.with_published(
        initialization.summarize(pd.DataFrame(rows), "kaiming_uniform"), published, []
    )
    summary = tuning.with_rates(untuned, table)
    assert initialization.layout(summary).rate.tolist() == [
        "0.01",
        "0.1 (largest tried)",
        "0.001 (smallest tried)",
        "0.001",
    ]
    sentence = "A learning rate at the edge of those tried may not be the best."
    assert sentence in initialization.caption(summary)
    assert sentence not in initialization.caption(summary[:1])
    assert "rate" not in initialization.layout(untuned)
    assert sentence not in initialization.caption(untuned)
