"""The speed of learning against the definition, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from ansatz.reporting import speed

CURVES = {
    ("kaiming_uniform", 0): [0.2, 0.6, 0.8],
    ("kaiming_uniform", 1): [0.3, 0.7, 0.9],  # the best two average to 0.85, so the target is 0.84
    ("nfm", 0): [0.5, 0.845, 0.1],
    ("nfm", 1): [0.5, 0.83, 0.83],
    ("nfm", 2): [0.9],  # stopped early
    ("agop", 0): [0.95, 0.95, np.nan],  # diverged
    ("agop", 1): [0.1, 0.1, 0.1],
}


def tidy_of(curves, diverged=(("agop", 0),)):
    rows = []
    for (initializer, seed), accuracies in curves.items():
        for epoch, accuracy in enumerate(accuracies, 1):
            status = "diverged" if (initializer, seed) in diverged and epoch == len(accuracies) else "ok"
            run = {"dataset": "digits", "initializer": initializer, "seed": seed, "epoch": epoch, "images": 48 * epoch}
            rows.append(run | {"status": status, "validation_accuracy": accuracy})
    return pd.DataFrame(rows)


@pytest.fixture
def by_run():
    return speed.by_run(tidy_of(CURVES), "kaiming_uniform").set_index(["initializer", "seed"])


def test_the_target_is_the_mean_of_the_baselines_best_accuracies_minus_a_point(by_run):
    assert by_run.target.tolist() == pytest.approx([(0.8 + 0.9) / 2 - 0.01] * len(CURVES))
    assert set(by_run.baseline) == {"kaiming_uniform"}


def test_epochs_and_images_are_those_at_which_the_target_is_first_reached(by_run):
    reached = by_run.target_epochs.fillna(-1).to_dict()
    assert reached == {
        ("kaiming_uniform", 0): -1,
        ("kaiming_uniform", 1): 3,
        ("nfm", 0): 2,
        ("nfm", 1): -1,
        ("nfm", 2): 1,
        ("agop", 0): -1,
        ("agop", 1): -1,
    }
    assert by_run.target_images.dropna().tolist() == [3 * 48, 2 * 48, 48]
    assert list(by_run.index) == list(CURVES), "in the order of the runs"


def test_the_area_is_the_mean_over_epochs_and_a_run_that_stopped_early_keeps_its_last_accuracy(by_run):
    assert by_run.area["nfm", 0] == pytest.approx((0.5 + 0.845 + 0.1) / 3)
    assert by_run.area["nfm", 2] == pytest.approx(0.9)
    assert by_run.first_accuracy["nfm", 0] == 0.5
    assert by_run.loc[("agop", 0), ["target_epochs", "area", "first_accuracy"]].isna().all(), "it diverged"


def test_seeds_that_never_reach_the_target_count_as_later_than_all_others():
    summary = speed.summarize(speed.by_run(tidy_of(CURVES), "kaiming_uniform")).set_index("initializer")
    assert summary.epochs.to_dict() == {"kaiming_uniform": np.inf, "nfm": 2, "agop": np.inf}
    assert summary.reached.to_dict() == {"kaiming_uniform": 1, "nfm": 2, "agop": 0}
    assert summary.area["nfm"] == pytest.approx(np.mean([0.845 / 3 + 0.2, (0.5 + 0.83 + 0.83) / 3, 0.9]))
    assert summary.first_accuracy_std["nfm"] == pytest.approx(np.std([0.5, 0.5, 0.9], ddof=1))


def test_the_table_says_how_many_seeds_are_censored():
    lines = speed.to_markdown(speed.by_run(tidy_of(CURVES), "kaiming_uniform")).splitlines()
    assert "the best validation accuracy of kaiming_uniform, averaged over seeds, minus 1 percentage point" in lines[0]
    cells = {row[1]: row[2:] for row in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:])}
    assert cells["kaiming_uniform"] == ["84.00", "1 of 2", "> 3", "> 144", "58.33 ± 7.07", "25.00 ± 7.07"]
    assert cells["nfm"][:4] == ["84.00", "2 of 3", "2", "96"]


def test_without_a_baseline_that_finished_there_is_no_target():
    diverged = [("kaiming_uniform", 0), ("kaiming_uniform", 1)]
    by_run = speed.by_run(tidy_of(CURVES, diverged), "kaiming_uniform")
    assert by_run.target.isna().all()
    assert by_run.target_epochs.isna().all()
    assert by_run.area.notna().sum() == len(CURVES) - len(diverged)
    assert "| –" in speed.to_markdown(by_run)
