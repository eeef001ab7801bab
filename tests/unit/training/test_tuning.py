"""The choice of a learning rate from what trainings reached with several."""

import pytest

from ansatz.training.tuning import best_rate, tabulate


def outcome(rate, seed, accuracy, status="finished", initializer="nfm"):
    """Return what of a ``summary.json`` the choice reads."""
    run = {"dataset": "digits", "initializer": initializer, "learning_rate": rate, "seed": seed}
    return run | {"status": status, "best_validation_accuracy": accuracy}


DIVERGED = {"accuracy": None, "status": "diverged"}


@pytest.mark.parametrize(
    ("outcomes", "best"),
    [
        ([outcome(0.1, 0, 0.5), outcome(0.01, 0, 0.6)], 0.01),
        # the mean over the seeds counts, not the best one, whatever the order
        ([outcome(0.1, 0, 0.9), outcome(0.01, 0, 0.6), outcome(0.1, 1, 0.1), outcome(0.01, 1, 0.7)], 0.01),
        ([outcome(0.1, 0, 0.6), outcome(0.01, 0, 0.6), outcome(0.3, 0, 0.6)], 0.01),
        # one that diverges for one seed is worse than any that never does, even at chance
        ([outcome(0.1, 0, 0.9), outcome(0.1, 1, **DIVERGED), outcome(0.01, 0, 0.1), outcome(0.01, 1, 0.1)], 0.01),
        ([outcome(0.1, 0, 0.9, status="diverged"), outcome(0.01, 0, 0.1)], 0.01),
        ([outcome(0.1, 0, **DIVERGED), outcome(0.01, 0, **DIVERGED)], 0.01),
    ],
)
def test_the_rate_of_the_highest_mean_accuracy_is_chosen(outcomes, best):
    assert best_rate(outcomes) == best
    assert best_rate(outcomes[::-1]) == best


def test_each_initializer_has_its_own_choice():
    outcomes = [outcome(0.1, 0, 0.5), outcome(0.01, 0, 0.6)]
    outcomes += [outcome(0.1, 0, 0.7, initializer="normal"), outcome(0.01, 0, 0.6, initializer="normal")]
    table = tabulate(outcomes)
    assert table[table.chosen][["initializer", "learning_rate"]].to_numpy().tolist() == [["nfm", 0.01], ["normal", 0.1]]
    assert len(table) == 4
