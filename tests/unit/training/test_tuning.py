"""The choice of a learning rate from what trainings reached with several."""

import json

import pytest

from ansatz.errors import UserError
from ansatz.training.tuning import best_rate, read_choice, write_choice


def outcome(rate, seed, accuracy, status="finished"):
    """Return what of a ``summary.json`` the choice reads."""
    return {"learning_rate": rate, "seed": seed, "status": status, "best_validation_accuracy": accuracy}


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


def test_a_choice_reads_back_and_is_the_same_file_for_the_same_rate(tmp_path):
    for name in ("a", "b"):
        write_choice(tmp_path / name, 0.03)
    assert read_choice(tmp_path / "a") == {"learning_rate": 0.03}
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"learning_rate": 0.5}', "is incomplete"),
        ('{"learning_rate": 0.5, "fingerprint": "FINGERPRINT"}', "has changed since it was written; remove it"),
        ('{"learning_rate": "abc", "fingerprint": "FINGERPRINT"}', "has changed since it was written; remove it"),
        ('{"learning_rate": null, "fingerprint": "FINGERPRINT"}', "has changed since it was written; remove it"),
        ("[1]", "is incomplete"),
        ('"learning_rate"', "is incomplete"),
        ("", "cannot be read"),
    ],
)
def test_a_choice_that_has_changed_is_refused(tmp_path, content, expected):
    path = tmp_path / "chosen.json"
    write_choice(path, 0.03)
    path.write_text(content.replace("FINGERPRINT", json.loads(path.read_text())["fingerprint"]))
    with pytest.raises(UserError, match=f"chosen.json: {expected}"):
        read_choice(path)
