"""Runs are gathered exactly."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from ansatz.errors import UserError
from ansatz.files.results import write_results
from ansatz.files.runs import chance_levels, gather, resources
from ansatz.files.tables import METRICS, OUTCOME, RESOURCES, RUN, read_csv, write_csv
from ansatz.reporting import initialization


def run_files(folder, seed, accuracy, **further):
    folder.mkdir(parents=True)
    rows = [dict.fromkeys(METRICS, 0.1) | {"epoch": 1, "status": "ok", "validation_accuracy": accuracy} | further]
    summary = {"dataset": "d", "initializer": "i", "seed": seed, **dict.fromkeys(OUTCOME, 1), "more": ("x", None)}
    files = folder / "metrics.csv", folder / "summary.json"
    write_results(*files, rows, summary)
    return files


def test_runs_are_gathered_exactly_and_without_clocks(tmp_path):
    third = 1 / 3
    files = [run_files(tmp_path / str(seed), seed, third + seed) for seed in range(3)]
    tidy, runs = gather(*zip(*files, strict=True))
    assert list(tidy.columns[:3]) == list(runs.columns[:3]) == ["dataset", "initializer", "seed"]
    assert tidy.validation_accuracy.tolist() == [third, third + 1, third + 2]
    assert not {"seconds", "images_per_second"} & set(tidy.columns)
    write_csv(tmp_path / "tidy.csv", tidy)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "tidy.csv"), tidy, check_exact=True)
    assert json.loads(files[0][1].read_text())["more"] == ["x", None]


def test_runs_with_different_metrics_are_gathered_too(tmp_path):
    further = [{}, {"train_top5": 0.25, "validation_top5": 0.5}, {"train_brier": 0.75}]
    files = [run_files(tmp_path / str(seed), seed, 0.5, **columns) for seed, columns in enumerate(further)]
    tidy, _ = gather(*zip(*files, strict=True))
    assert [column for column in tidy.columns if column.startswith("train_")][:4] == [
        *("train_loss", "train_accuracy", "train_top5", "train_brier"),
    ]
    assert list(tidy.columns[-3:]) == ["validation_accuracy", "validation_top5", "learning_rate"]
    assert tidy.fillna(-1)[["train_top5", "validation_top5", "train_brier"]].to_numpy().tolist() == [
        [-1, -1, -1],
        [0.25, 0.5, -1],
        [-1, -1, 0.75],
    ]
    write_csv(tmp_path / "tidy.csv", tidy)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "tidy.csv"), tidy, check_exact=True)


def test_training_images_are_counted_from_the_first_epoch(tmp_path):
    files = tmp_path / "metrics.csv", tmp_path / "summary.json"
    rows = [
        dict.fromkeys(METRICS, 0.1) | {"epoch": epoch, "status": "ok", "seconds": s, "images_per_second": 1438 / s}
        for epoch, s in enumerate([0.3, 1.7, 12.9], 1)
    ]
    write_results(*files, rows, {"dataset": "d", "initializer": "i", "seed": 0, **dict.fromkeys(OUTCOME, 1)})
    tidy, _ = gather([files[0]], [files[1]])
    assert list(tidy.columns[:6]) == ["dataset", "initializer", "seed", "epoch", "images", "status"]
    assert tidy.images.tolist() == [1438, 2876, 4314]


@pytest.mark.parametrize("harm", ["", "{}", "epoch,status\n1,ok\n", "[1]"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_broken_result_is_named(tmp_path, harm, which):
    files = run_files(tmp_path / "0", 0, 0.5)
    files[which].write_text(harm)
    with pytest.raises(UserError, match=rf"{files[which].name}: .*; remove it and run again"):
        gather([files[0]], [files[1]])


@pytest.mark.parametrize(
    ("which", "old", "new"),
    [
        (0, "ok,0.1,", "ok,5.0,"),
        (0, "ok,0.1,", "ok,half,"),
        (0, "\n1,", "\n2,"),
        (1, '"best_validation_accuracy": 1', '"best_validation_accuracy": 5.0'),
        (1, '"seed": 0', '"seed": 1'),
        (1, '"more"', '"less"'),
    ],
)
def test_a_changed_result_is_named(tmp_path, which, old, new):
    files = run_files(tmp_path / "0", 0, 0.5)
    text = files[which].read_text()
    assert old in text
    files[which].write_text(text.replace(old, new))
    line = r"metrics\.csv: it or summary\.json has changed since they were written; remove it and run again$"
    with pytest.raises(UserError, match=line):
        gather([files[0]], [files[1]])


def test_a_removed_epoch_is_noticed(tmp_path):
    row = dict.fromkeys(METRICS, 0.1) | {"status": "ok"}
    files = tmp_path / "metrics.csv", tmp_path / "summary.json"
    write_results(*files, [row | {"epoch": epoch} for epoch in (1, 2, 3)], dict.fromkeys((*RUN, *OUTCOME), 1))
    gather([files[0]], [files[1]])
    files[0].write_text("".join(files[0].read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="has changed since"):
        gather([files[0]], [files[1]])


def test_resources_are_of_all_epochs_or_of_the_last_job_whichever_took_longer(tmp_path):
    runs = pd.DataFrame(
        {"dataset": "digits", "initializer": "nfm", "seed": [0, 1, 2], "device": ["cpu", "cuda", "cuda:1"]}
    ).assign(seconds=[30.0, 10.0, 90.0])  # the last one was interrupted: its epochs took longer than its last job
    files = []
    for number, memory in enumerate(["512.5", "-", "2000"]):
        files.append(tmp_path / f"{number}.tsv")
        files[-1].write_text(f"s\th:m:s\tmax_rss\n40.0\t0:00:40\t{memory}\n")
    table = resources(files, runs)
    assert list(table.columns) == [*RUN, *RESOURCES]
    assert table.gpu_seconds.tolist() == [0, 40, 90]
    assert table.memory_mb.isna().tolist() == [False, True, False]
    took = "took 0.03 hours of jobs, 0.04 GPU hours; the largest took 2.0 GB of memory."
    assert initialization.cost(table) == f"The 3 runs, without their tuning and sources, {took}"
    files[0].unlink()
    files[1].write_bytes(b"\x00\xff")
    table = resources(files, runs)
    assert table.seconds.isna().tolist() == [True, True, False]
    assert table.gpu_seconds.tolist() == [0, 10, 90]


def test_chance_is_the_share_of_the_commonest_class(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["name"], file["labels"] = "digits", np.array([0, 2, 2, 1, 2])
    (tmp_path / "broken.h5").write_text("no HDF5")
    files = [tmp_path / f"{name}.h5" for name in ("a", "broken", "deleted")]
    assert chance_levels(files) == {"digits": 0.6}
