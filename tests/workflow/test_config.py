"""Configurations as Snakemake reads them: mistakes end in one line, the command line changes keys, results have one owner."""

import re
import shutil

import pytest


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sedes": [0]}, "unknown key 'sedes'"),
        ({"datasets": {"cifar11": {}}}, "config.datasets: 'cifar11'"),
        ({"plugins": ["nowhere.py"]}, "nowhere.py"),
    ],
)
def test_snakemake_ends_with_one_line_and_nothing_else(clone, changes, line):
    clone.configure(**changes)
    done = clone.snakemake(check=False)
    assert done.returncode == 1
    profile, message = done.stdout.splitlines()
    assert line in message
    assert "profile" in profile
    assert not clone.results.exists()


@pytest.mark.parametrize(
    ("config", "text", "line"),
    [
        ("config/test.yaml", "threads: 010\n", "config/test.yaml, line 1: 010 would be read as 8"),
        (None, "threads: caf\xe9\n", "config/config.yaml, line 1: not UTF-8"),
    ],
)
def test_files_that_are_not_what_they_look_like_end_in_one_line(clone, config, text, line):
    (clone.path / (config or "config/config.yaml")).write_text(text, encoding="latin-1")
    done = clone.snakemake(config=config, check=False)
    assert done.returncode == 1
    assert line in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("config", "counts", "others"),
    [
        ("config/study.yaml", {"train": 108, "fetch_weights": 1}, {"run_machine"}),
        (
            "config/kernels.yaml",
            {"run_machine": 6 * 5 * 4 + 4 * 3 * 4 + 5 * 3 * 6},
            {"train", "train_source", "train_network", "follow_training"},
        ),
        ("config/ansatz.yaml", {"fetch_weights": 10}, {"run_machine"}),
    ],
)
def test_published_experiments_are_a_plan_of_their_own_sections_alone(clone, config, counts, others):
    planned = clone.planned(config=config)
    assert counts.items() <= planned.items()
    assert not others & planned.keys()


def test_every_key_has_a_default_that_is_filled_in(clone):
    clone.configure(initialization={"seeds": None, "network": None}, feature_matrices=None, device=None)
    assert clone.planned()["train"] == 6


@pytest.mark.parametrize(
    ("change", "trainings"), [("seeds=[0,1]", 4), ("initialization={seeds: [0,1]}", 4), ("threads=2", 2)]
)
def test_the_command_line_changes_keys(clone, change, trainings):
    assert clone.planned("--config", change)["train"] == trainings


@pytest.mark.parametrize(("arguments", "count"), [([], 6), (["--resources", "gpu=1"], 1)])
def test_as_many_jobs_run_at_once_as_the_gpus_have_slots(clone, monkeypatch, arguments, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    clone.configure(gpu_slots=3)
    output = clone.snakemake("results/test/datasets/digits/dataset.h5", *arguments).stdout
    assert re.search(rf"Provided resources: gpu\D+{count}\b", output)


def test_results_of_another_file_are_not_continued_by_mistake(finished):
    shutil.copy(finished.path / "config/test.yaml", finished.path / "config/other.yaml")
    done = finished.snakemake("--dry-run", config="config/other.yaml", check=False)
    assert done.returncode == 1
    assert "config.name: 'test' already holds the results of config/test.yaml" in done.stdout
    (finished.path / "config/test.yaml").unlink()
    assert finished.planned(config="config/other.yaml") == {}, "a file that was renamed keeps its results"


def test_a_configuration_file_stands_alone(clone):
    """The default configuration must not shine through: neither its datasets nor its seeds."""
    assert clone.planned()["train"] == 2
