"""Learning rates of their own: what is trained, and what runs again when the grid or its seeds change."""

import json

import pandas as pd
import pytest

from ansatz.training.tuning import read_choice
from clone import shared_clone

TRAINING = {"epochs": 1, "batch_size": 16}
TUNING = {"learning_rates": [1e-7, 0.01], "seeds": [10]}
TABLE = "results/test/initialization/table.md"


def configure(clone, **tuning):
    clone.configure(
        sources=None,
        datasets={"digits": {"limit": 300}},
        initialization={"initializers": ["kaiming_normal"], "training": None, "tuning": TUNING | tuning}
        | {"training": TRAINING},
    )


@pytest.fixture(scope="module")
def tuned_once(shared):
    def run(clone):
        configure(clone)
        clone.snakemake("initialization")

    return shared_clone(shared / "tuned", run)


@pytest.fixture
def tuned(tuned_once, tmp_path):
    return tuned_once.copy(tmp_path / "clone")


def chosen(clone):
    return read_choice(clone.results / "initialization/tuning/digits/kaiming_normal/chosen.json")


def run_of(clone):
    return clone.results / "initialization/runs/digits/kaiming_normal/seed0"


def trained(done):
    """Return the trainings that ran."""
    return [line.partition("Train ")[2] for line in done.stdout.splitlines() if ": Train " in line]


def test_the_best_rate_trains_the_study(tuned_once):
    assert chosen(tuned_once) == {"learning_rate": 0.01}
    summary = json.loads((run_of(tuned_once) / "summary.json").read_text())
    assert summary["parameters"]["training"]["learning_rate"] == 0.01
    assert set(pd.read_csv(run_of(tuned_once) / "metrics.csv").learning_rate) == {0.01}
    table = pd.read_csv(tuned_once.results / "initialization/tuning/tuning.csv")
    assert table.learning_rate[table.chosen].tolist() == [0.01]
    assert table.seed.tolist() == [10, 10]
    tuning = json.loads(
        (tuned_once.results / "initialization/tuning/digits/kaiming_normal/0.01/seed10/summary.json").read_text()
    )
    assert tuning["test_accuracy"] is None, "test images are for the results"
    assert tuned_once.planned() == {}


def test_a_rate_more_trains_only_that_rate(tuned):
    configure(tuned, learning_rates=[1e-7, 1e-6, 0.01])
    assert trained(tuned.snakemake(TABLE)) == ["initialization/tuning/digits/kaiming_normal/1e-06/seed10"]
    assert tuned.planned(TABLE) == {}


def test_other_seeds_train_again_only_what_a_changed_choice_reaches(tuned):
    configure(tuned, seeds=[11])
    places = [f"initialization/tuning/digits/kaiming_normal/{rate}/seed11" for rate in ("0.01", "1e-07")]
    assert sorted(trained(tuned.snakemake(TABLE))) == sorted(places)
    assert tuned.planned(TABLE) == {}


def test_a_changed_choice_trains_the_study_again(tuned):
    configure(tuned, learning_rates=[1e-7])
    assert trained(tuned.snakemake(TABLE)) == ["initialization/runs/digits/kaiming_normal/seed0"]
    assert set(pd.read_csv(run_of(tuned) / "metrics.csv").learning_rate) == {1e-7}
