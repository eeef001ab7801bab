"""Only what changed runs again: shown by dry runs after a whole run."""

import os
import shutil

import pytest
import yaml
from PIL import Image

from real_data import ROOT

FIGURES = {"draw_curves": 2}
TABLES = {"gather_runs": 1, "tabulate_runs": 1} | FIGURES


def edit(path):
    path.write_text(path.read_text() + "\n# edited\n")


def test_nothing_changed(finished):
    assert finished.planned() == {}


def test_every_file_touched(finished):
    for path in finished.path.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
    assert finished.planned() == {}


def test_the_tree_checked_out_afresh(finished):
    """Remove every file of the repository and put it back, as another clone into the same folder would."""
    for part in ("config", "envs", "profiles", "scripts", "workflow", "results/published"):
        own = (finished.path / "config" / "test.yaml").read_text() if part == "config" else None
        shutil.rmtree(finished.path / part)
        shutil.copytree(ROOT / part, finished.path / part, ignore=shutil.ignore_patterns("__pycache__"))
        if own:
            (finished.path / "config" / "test.yaml").write_text(own)
    for path in (finished.path / "scripts").rglob("*.py"):
        os.utime(path)
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("ansatz/figures.py", FIGURES),
        ("draw_curves.py", FIGURES),
        ("ansatz/statistics.py", {"tabulate_runs": 1}),
        ("ansatz/training.py", {"pretrain": 1, "extract_features": 1, "train": 2} | TABLES),
        ("ansatz/initializers.py", {"pretrain": 1, "extract_features": 1, "train": 2} | TABLES),
        ("train.py", {"train": 2} | TABLES),
        ("ansatz/datasets.py", {"prepare_dataset": 1, "pretrain": 1, "extract_features": 1, "train": 2} | TABLES),
    ],
)
def test_an_edit_reruns_what_reaches_the_file(finished, file, expected):
    edit(finished.path / "scripts" / file)
    assert finished.planned() == expected


def test_a_new_seed_trains_only_itself(finished):
    finished.configure(seeds=[0, 1])
    assert finished.planned() == {"train": 2} | TABLES


def test_a_new_initializer_trains_only_itself(finished):
    finished.configure(initializers=["kaiming_uniform", "nfm", "kaiming_agop"])
    assert finished.planned() == {"train": 1} | TABLES


def test_a_new_dataset_trains_only_itself(finished):
    images = finished.path / "images"
    images.mkdir()
    finished.configure(datasets={"digits": {"limit": 60}, "mine": {"folder": "images"}})
    assert finished.planned() == {"prepare_dataset": 1, "train": 2} | TABLES


def test_another_learning_rate_extracts_nothing_again(finished):
    finished.configure(training={"epochs": 2, "batch_size": 16, "learning_rate": 0.02})
    assert finished.planned() == {"train": 2} | TABLES


def test_other_feature_matrices_retrain_only_who_draws_from_them(finished):
    finished.configure(feature_matrices={"images": 9})
    assert finished.planned() == {"extract_features": 1, "train": 1} | TABLES


def test_another_name_is_another_study(finished):
    finished.configure(name="other")
    assert finished.planned()["train"] == 2
    finished.configure()
    assert finished.planned() == {}


def test_a_configfile_stands_alone(clone):
    """The default configuration must not shine through: neither its datasets nor its seeds."""
    assert yaml.safe_load((clone.path / "config/config.yaml").read_text())["seeds"] == [0, 1, 2]
    assert clone.planned()["train"] == 2


@pytest.mark.parametrize(
    "lost", ["runs/digits/nfm/seed0/summary.json", "runs/digits/nfm/seed0/metrics.csv", "tidy.csv"]
)
def test_what_is_missing_is_made_again(finished, lost):
    (finished.results / lost).unlink()
    assert finished.planned() == ({} if lost == "tidy.csv" else {"train": 1}) | TABLES


def test_images_of_ones_own_are_watched(finished):
    for kind in ("a", "b"):
        (finished.path / "mine" / kind).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(finished.path / "mine" / kind / f"{i}.png")
    finished.configure(datasets={"mine": {"folder": "mine"}}, initializers=["kaiming_uniform"])
    finished.snakemake()
    assert finished.planned() == {}
    Image.new("RGB", (8, 8)).save(finished.path / "mine" / "a" / "new.png")
    assert finished.planned() == {"prepare_dataset": 1, "train": 1} | TABLES
