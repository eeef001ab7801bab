"""Whole studies in small: results, real data, every kind of source, kills, and inputs that are broken."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from torchvision import models

from ansatz.networks import build, save_weights
from ansatz.store import CLOCK, METRICS, checksum
from real_data import SUBSETS


def test_results_are_there_and_say_what_made_them(finished_once):
    results = finished_once.results
    for file in ("tidy.csv", "runs.csv", "resources.csv", "table.csv", "table.md", "table.tex"):
        assert (results / file).stat().st_size, file
    for figure in ("accuracy", "gap"):
        assert Image.open(results / "figures" / f"{figure}.png").width > 500
        assert "<svg" in (results / "figures" / f"{figure}.svg").read_text()
    assert yaml.safe_load((results / "config.yaml").read_text())["training"]["momentum"] == 0.9, "a default"
    run = results / "runs/digits/nfm/seed0"
    assert sorted(path.name for path in run.iterdir()) == ["metrics.csv", "summary.json"], "no checkpoint is left"
    metrics = pd.read_csv(run / "metrics.csv")
    assert list(metrics.columns) == list(METRICS)
    assert metrics.epoch.tolist() == [1, 2]
    summary = json.loads((run / "summary.json").read_text())
    assert summary["best_validation_accuracy"] == metrics.validation_accuracy.max()
    assert summary["parameters"]["protocol"]["learning_rate"] == 0.01
    assert summary["versions"]["torch"] == metadata.version("torch")
    assert summary["device"] == "cpu"
    assert {"machine", "commit"} <= summary.keys()
    with h5py.File(results / "source/features.h5") as file:
        layer = file["agop/features.3"]
        assert layer["factor"].shape == (1, 4, 18)
        assert layer.attrs["kernel_size"].tolist() == [3, 3]
        assert {"images", "estimator", "source", "weights_fingerprint", "provenance"} <= file.attrs.keys()


def test_the_report_needs_no_network(finished):
    finished.snakemake("--report", "report.html")
    page = (finished.path / "report.html").read_text()
    for words in ("Best validation accuracy over epochs", "validation loss minus training loss", "Figures", "Table"):
        assert words in page
    for outside in ('src="http', "src='http", 'rel="stylesheet" href="http', "@import"):
        assert outside not in page


def test_pretraining_sees_the_training_part_alone(finished):
    """Other validation images, same training images: the same weights, bit by bit."""
    dataset = finished.results / "datasets/digits/dataset.h5"
    before = checksum(finished.results / "source/pretrained.pt")
    with h5py.File(dataset, "r+") as file:
        for index in file["split/validation"]:
            file["images"][index] = 0
    finished.snakemake("--forcerun", "pretrain", "--until", "pretrain")
    assert checksum(finished.results / "source/pretrained.pt") == before
    with h5py.File(dataset, "r+") as file:
        file["images"][file["split/train"][0]] = 0
    finished.snakemake("--forcerun", "pretrain", "--until", "pretrain")
    assert checksum(finished.results / "source/pretrained.pt") != before


def test_real_cifar10(clone, archives):
    clone.configure(
        datasets={"cifar10": {"limit": 300, "sha256": SUBSETS["cifar10"]}},
        data_dir=str(archives),
        source={"pretrain": {"dataset": "cifar10", "training": {"epochs": 1}}},
    )
    clone.snakemake()
    runs = pd.read_csv(clone.results / "runs.csv")
    assert runs.test_accuracy.notna().all()
    assert "76.32" not in (table := (clone.results / "table.md").read_text())
    assert "77.32" in table, "the published value of kaiming_uniform"


def test_images_of_ones_own(clone):
    rng = np.random.default_rng(0)
    for kind, level in {"dark": 60, "light": 190}.items():
        for part, count in {"train": 24, "val": 8, "test": 8}.items():
            folder = clone.path / "mine" / part / kind
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(level, 20, (20, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    training = {"epochs": 8, "batch_size": 8, "learning_rate": 0.02}
    source = {"pretrain": {"dataset": "mine", "training": training}}
    clone.configure(datasets={"mine": {"folder": "mine", "size": 32}}, training=training, source=source)
    clone.snakemake()
    runs = pd.read_csv(clone.results / "runs.csv").set_index("initializer")
    assert runs.test_accuracy["kaiming_uniform"] > 0.8


def test_a_checkpoint_of_ones_own_as_source(clone):
    save_weights(build("vgg13", 4, seed=5, width=0.03125), clone.path / "own.pt")
    source = {"path": "own.pt", "network": "vgg13", "classes": 4, "images": "digits"}
    clone.configure(source={"checkpoint": source}, network={"name": "vgg13", "width": 0.03125, "image_size": 32})
    clone.snakemake()
    with h5py.File(clone.results / "source/features.h5") as file:
        assert file.attrs["source"] == "checkpoint own.pt"
        assert len(file["nfm"]) == 10
    clone.configure(source={"checkpoint": source | {"network": "vgg11"}})
    done = clone.snakemake("--until", "extract_features", check=False)
    assert "own.pt: does not fit the network: " in done.stdout
    assert "features.2.weight is 2x2x3x3, the network's missing" in done.stdout


def test_ambiguous_layers_are_refused_with_the_list(clone):
    save_weights(build("vgg13", 4, seed=5, width=0.03125), clone.path / "own.pt")
    source = {"path": "own.pt", "network": "vgg13", "classes": 4, "images": "digits"}
    clone.configure(source={"checkpoint": source}, initializers=["nfm", "normal"])
    done = clone.snakemake(check=False)
    told = [line for line in done.stdout.splitlines() if "error:" in line]
    assert "features.3 with patches 2x3x3 could take features.2 or features.5: choose one in layers" in told[0]
    assert (clone.results / "runs/digits/normal/seed0/summary.json").exists(), "the rest of the grid goes on"
    chosen = {"features.3": "features.5", "features.6": "features.10", "features.8": "features.12"}
    chosen |= {"features.11": "features.12", "features.13": "features.22"}
    chosen |= {"features.16": "features.20", "features.18": "features.22"}
    clone.configure(source={"checkpoint": source}, initializers=["nfm", "normal"], layers=chosen)
    clone.snakemake()


def test_torchvisions_weights_from_data_dir(clone):
    """A small network's published file name with random weights in it, as nothing can be downloaded in a test."""
    (clone.path / "archives").mkdir()
    weights = clone.path / "archives" / "squeezenet1_1-b8a52dc0.pth"
    torch.manual_seed(0)
    save_weights(models.squeezenet1_1(), weights)
    source = {"weights": "SqueezeNet1_1_Weights.IMAGENET1K_V1", "images": "digits"}
    clone.configure(source={"torchvision": source}, data_dir="archives")
    done = clone.snakemake("results/test/source/features.h5", check=False)
    assert "squeezenet1_1-b8a52dc0.pth: its sha256 is" in done.stdout
    clone.configure(
        source={"torchvision": source | {"sha256": checksum(weights)}},
        data_dir="archives",
        feature_matrices={"images": 4, "probes": 2},
    )
    clone.snakemake("results/test/source/features.h5")
    with h5py.File(clone.results / "source/features.h5") as file:
        assert len(file["agop"]) == 26
        assert file.attrs["estimator"] == "2 probes"


def test_a_killed_training_goes_on_to_the_same_numbers(clone, tmp_path):
    training = {"epochs": 25, "batch_size": 16, "learning_rate": 0.01}
    clone.configure(datasets={"digits": None}, initializers=["kaiming_uniform"], training=training)
    shutil.copytree(clone.path, tmp_path / "undisturbed", symlinks=True)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "config/test.yaml"]
    process = subprocess.Popen(
        command, cwd=clone.path, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    run = clone.results / "runs/digits/kaiming_uniform/seed0"
    deadline = time.monotonic() + 120
    while not (run / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (run / "checkpoint.pt").exists()
    assert not (run / "metrics.csv").exists()
    clone.snakemake("--unlock")
    clone.snakemake()
    assert "going on after epoch" in (clone.results / "logs/train/digits/kaiming_uniform/seed0.log").read_text()
    assert sorted(path.name for path in run.iterdir()) == ["metrics.csv", "summary.json"]
    clone.path = tmp_path / "undisturbed"
    clone.snakemake()
    resumed, whole = (
        pd.read_csv(path / "runs/digits/kaiming_uniform/seed0/metrics.csv").drop(columns=list(CLOCK))
        for path in (run.parents[3], clone.results)
    )
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)
    assert (run.parents[3] / "tidy.csv").read_bytes() == (clone.results / "tidy.csv").read_bytes()


def test_a_run_that_diverges_is_in_the_table_and_stops_nothing(clone):
    clone.configure(training={"epochs": 3, "batch_size": 16, "learning_rate": 1e9}, initializers=["normal", "agop"])
    clone.snakemake()
    assert "diverged" in (clone.results / "table.md").read_text()
    assert pd.read_csv(clone.results / "runs.csv").status.tolist() == ["diverged"] * 2


def test_a_broken_archive_is_one_line_and_the_rest_goes_on(clone):
    folder = clone.path / "archives"
    folder.mkdir()
    (folder / "cifar-10-python.tar.gz").write_bytes(b"half of it")
    clone.configure(datasets={"digits": {"limit": 60}, "cifar10": None}, data_dir="archives", initializers=["normal"])
    done = clone.snakemake(check=False)
    assert done.returncode
    told = [line for line in done.stdout.splitlines() if "error:" in line]
    assert any("archives/cifar-10-python.tar.gz: its sha256 is" in line for line in told)
    assert "Traceback" not in done.stdout
    assert (clone.results / "runs/digits/normal/seed0/metrics.csv").exists()


@pytest.mark.parametrize("file", ["datasets/digits/dataset.h5", "source/features.h5"])
def test_a_truncated_input_is_one_line(finished, file):
    os.truncate(finished.results / file, 1000)
    shutil.rmtree(finished.results / "runs")
    done = finished.snakemake(check=False)
    told = [line for line in done.stdout.splitlines() if "error:" in line]
    assert f"results/test/{file}: not a readable" in told[0]
    assert "Traceback" not in done.stdout


def test_an_absent_gpu_is_one_line(clone):
    clone.configure(device="cuda:63", initializers=["normal"])
    done = clone.snakemake(check=False)
    assert "error: device: cuda:63 is not there" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_slurm_profile_asks_for_what_the_rules_need(clone):
    clone.configure(device="auto")
    assert clone.snakemake("--profile", "slurm", "--dry-run").returncode == 0


def test_downloads_are_what_the_grid_needs_and_nothing_else(clone):
    datasets = {"digits": None, "cifar10": None, "mine": {"folder": str(clone.path)}}
    clone.configure(datasets=datasets, source={"pretrain": {"dataset": "mnist"}})
    assert clone.planned("downloads") == {"downloads": 1, "fetch_dataset": 3}
    weights = {"weights": "VGG11_Weights.IMAGENET1K_V1", "images": "mine"}
    clone.configure(datasets=datasets, source={"torchvision": weights})
    assert clone.planned("downloads") == {"downloads": 1, "fetch_dataset": 2, "fetch_weights": 1}
