"""Whole studies in small: results, real data, every kind of source, kills, and inputs that are broken."""

import json
import os
import shutil
import signal
import time
from importlib import metadata

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from ansatz.data.batches import on_device
from ansatz.features.matrix import nfm
from ansatz.features.stored import read_matrices
from ansatz.files.dataset import read_dataset
from ansatz.files.hashing import checksum
from ansatz.files.hdf5 import read_tree, write_tree
from ansatz.files.tables import ACTIVATIONS, CLOCK, METRICS, SPECTRA
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.networks.weights import read_weights, save_weights
from ansatz.training.config import TrainingConfig
from ansatz.training.evaluation import evaluate
from real_data import SUBSETS

RUN = "results/test/initialization/runs/digits/{}/seed0/summary.json"
TABLE = "results/test/initialization/table.md"


def test_results_are_there_and_say_what_made_them(finished_once):
    results = finished_once.results
    study = results / "initialization"
    for file in (
        "tidy.csv",
        "runs.csv",
        "resources.csv",
        "activations.csv",
        "table.csv",
        "table.html",
        "ranking.csv",
        "table.md",
        "table.tex",
        "speed.md",
    ):
        assert (study / file).stat().st_size, file
    matched = (results / "sources/digits/matching.md").read_text().splitlines()
    assert matched[0] == "Which layers of digits the network draws from:"
    assert matched[4] == "| `features.0` | 3x3x3 | `features.0` | 3x3x3 | order |"
    assert len(matched) == 12
    for figure in ("differences", "accuracy", "gap", "speed", "activations"):
        assert Image.open(study / "figures" / f"{figure}.png").width > 500
        assert "<svg" in (study / "figures" / f"{figure}.svg").read_text()
    spectra = pd.read_csv(results / "sources/spectra.csv")
    assert list(spectra.columns) == list(SPECTRA)
    assert spectra[spectra["index"] == 1].kind.value_counts().to_dict() == {"nfm": 8, "agop": 8}
    assert Image.open(results / "sources/figures/spectra.png").width > 500
    assert not (results / "sources/figures/alignment.png").exists(), "there is one source"
    recorded = yaml.safe_load((results / "config.yaml").read_text())
    assert recorded["initialization"]["training"]["weight_decay"] == 0.0005, "a default"
    assert pd.read_csv(study / "resources.csv", index_col="initializer").memory_mb["nfm"] > 100
    run = study / "runs/digits/nfm/seed0"
    assert {path.name for path in run.iterdir()} == {"activations.csv", "metrics.csv", "summary.json"}, "no checkpoint"
    activations = pd.read_csv(study / "activations.csv")
    assert activations.initializer.value_counts().to_dict() == {"kaiming_uniform": 8, "nfm": 8}
    assert list(activations.columns) == list(ACTIVATIONS)
    assert activations["std"].gt(0).all()
    metrics = pd.read_csv(run / "metrics.csv")
    assert list(metrics.columns) == list(METRICS)
    assert metrics.epoch.tolist() == [1, 2]
    summary = json.loads((run / "summary.json").read_text())
    assert summary["best_validation_accuracy"] == metrics.validation_accuracy.max()
    assert summary["parameters"]["training"]["learning_rate"] == 0.01
    assert summary["versions"]["torch"] == metadata.version("torch")
    assert summary["device"] == "cpu"
    assert {"machine", "commit"} <= summary.keys()
    with h5py.File(results / "sources/digits/features.h5") as file:
        layer = file["agop/features.3"]
        assert layer["factor"].shape == (1, 4, 18)
        assert layer.attrs["kernel_size"].tolist() == [3, 3]
        assert {"images", "estimator", "source", "weights_fingerprint", "provenance"} <= file.attrs.keys()


def test_the_report_needs_no_network_and_opens_on_the_page(finished, request):
    finished.snakemake("--report", "report.html")
    page = (finished.path / "report.html").read_text()
    for words in (
        "Mean difference of the best validation accuracy",
        "Best validation accuracy over epochs",
        "validation loss minus training loss",
        "How strongly the layers",
        "Eigenvalues of the feature matrices",
        "Initialization",
        "accuracies",
    ):
        assert words in page
    for outside in ('src="http', "src='http", 'rel="stylesheet" href="http', "@import"):
        assert outside not in page
    opened = request.getfixturevalue("opened")  # which skips the rest where there is no browser
    shown = opened(finished.path / "report.html", ready="iframe").page.frame_locator("iframe")
    shown.locator("body[data-drawn=all]").wait_for()
    assert shown.locator("h1").inner_text() == "test"


def blacken(dataset, part):
    tree = read_tree(dataset, lambda tree: tree)
    tree["images"][tree["split"][part]] = 0
    write_tree(dataset, tree, attributes=tree.attributes, provenance={})


def test_a_source_sees_the_training_part_alone(finished):
    """Other validation images, same training images: the same weights, bit by bit."""
    dataset = finished.results / "datasets/digits/dataset.h5"
    before = checksum(finished.results / "sources/digits/weights.pt")
    blacken(dataset, "validation")
    finished.snakemake("--forcerun", "train_source", "--until", "train_source")
    assert checksum(finished.results / "sources/digits/weights.pt") == before
    blacken(dataset, "train")
    finished.snakemake("--forcerun", "train_source", "--until", "train_source")
    assert checksum(finished.results / "sources/digits/weights.pt") != before


def test_real_cifar10(clone, archives):
    clone.configure(
        datasets={"cifar10": {"limit": 300, "sha256": SUBSETS["cifar10"]}},
        data_dir=str(archives),
        sources={"cifar10": {"train": {"dataset": "cifar10", "training": {"epochs": 1, "batch_size": 16}}}},
    )
    clone.snakemake(TABLE)
    runs = pd.read_csv(clone.results / "initialization/runs.csv")
    assert runs.test_accuracy.notna().all()
    assert "76.32" not in (table := (clone.results / "initialization/table.md").read_text())
    assert "(77.32)" in table, "the published value of kaiming_uniform, for other settings"


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
    sources = {"mine": {"train": {"dataset": "mine", "training": training}}}
    datasets = {"mine": {"folder": "mine", "size": 32}}
    clone.configure(datasets=datasets, initialization={"training": training}, sources=sources)
    clone.snakemake("results/test/initialization/runs.csv")
    runs = pd.read_csv(clone.results / "initialization/runs.csv").set_index("initializer")
    assert runs.test_accuracy["kaiming_uniform"] > 0.8


def test_a_checkpoint_of_ones_own_as_source(clone):
    save_weights(build("vgg13", 4, seed=5, width=0.03125), clone.path / "own.pt")
    network = {"name": "vgg13", "width": 0.03125, "image_size": 32}
    source = {"path": "own.pt", "network": network, "classes": 4, "dataset": "digits"}
    clone.configure(sources={"own": {"checkpoint": source}}, initialization={"network": network})
    clone.snakemake(RUN.format("nfm"))
    with h5py.File(clone.results / "sources/own/features.h5") as file:
        assert file.attrs["source"] == "checkpoint own.pt"
        assert len(file["nfm"]) == 10
    clone.configure(sources={"own": {"checkpoint": source | {"network": network | {"name": "vgg11"}}}})
    done = clone.snakemake("--until", "extract_features", check=False)
    assert "own.pt: does not fit the network: " in done.stdout
    assert "features.2.weight is 2x2x3x3, the network's is missing" in done.stdout


def test_convolutions_alone_as_source(clone):
    """Of a file without a classifier, the NFM is drawn from; no images are read for it."""
    whole = build("vgg11", 4, seed=5, width=0.03125).state_dict()
    own = {name: value.half() for name, value in whole.items() if name.startswith("features")}
    save_file(own, clone.path / "own.safetensors")
    source = {"path": "own.safetensors", "network": {"name": "vgg11", "width": 0.03125, "image_size": 32}}
    clone.configure(sources={"own": {"checkpoint": source}}, initialization={"initializers": ["nfm"]})
    assert clone.planned("results/test/sources/own/features.h5") == {"extract_features": 1}
    clone.snakemake(RUN.format("nfm"))
    with h5py.File(clone.results / "sources/own/features.h5") as file:
        assert "agop" not in file
        expected = own["features.3.weight"].float().flatten(1)
        assert np.array_equal(file["nfm/features.3/factor"][0], expected)
    del own["features.3.weight"]
    save_file(own, clone.path / "own.safetensors")
    done = clone.snakemake(RUN.format("nfm"), check=False)
    assert "own.safetensors: does not fit the network: features.3.weight is missing, the network's is 4x2x3x3" in (
        done.stdout
    )


def test_a_run_of_the_study_as_source(clone):
    """Its kept weights are those of its best epoch, and the NFM that others draw from is theirs."""
    sources = {"mine": {"run": {"dataset": "digits", "initializer": "kaiming_uniform", "seed": 0}}}
    clone.configure(sources=sources, initialization={"keep_weights": "best"})
    assert clone.planned(RUN.format("nfm")) == {"prepare_dataset": 1, "train": 2, "extract_features": 1}
    clone.snakemake(RUN.format("nfm"))
    weights = read_weights((clone.path / RUN.format("kaiming_uniform")).with_name("weights.pt"))
    with h5py.File(clone.results / "sources/mine/features.h5") as file:
        assert np.array_equal(file["nfm/features.3/factor"][0], weights["features.3.weight"].flatten(1))
    data = read_dataset(clone.results / "datasets/digits/dataset.h5")
    network = build("vgg11", len(data.classes), seed=0, width=0.03125)
    network.load_state_dict(weights)
    images = on_device(data, size=32, channels=3, device=torch.device("cpu"))["validation"]
    summary = json.loads((clone.path / RUN.format("kaiming_uniform")).read_text())
    accuracy = evaluate(network, images, TrainingConfig(batch_size=16))["accuracy"]
    assert accuracy == pytest.approx(summary["best_validation_accuracy"])


def test_feature_matrices_of_another_study_as_source(clone, finished_once):
    """Drawing from its file gives the same run as drawing from the source that it was extracted from."""
    run = "initialization/runs/digits/nfm/seed0/metrics.csv"
    extracted = finished_once.results / "sources/digits/features.h5"
    shutil.copy(extracted, clone.path / "own.h5")
    given = {"path": "own.h5", "sha256": checksum(extracted)}
    clone.configure(sources={"own": {"features": given}}, initialization={"initializers": ["nfm"]})
    target = f"results/test/{run}"
    assert clone.planned(target) == {"prepare_dataset": 1, "train": 1}
    clone.snakemake(target)
    metrics = [
        pd.read_csv(results / run).drop(columns=list(CLOCK)) for results in (clone.results, finished_once.results)
    ]
    pd.testing.assert_frame_equal(*metrics)
    (clone.path / "own.h5").write_bytes(b"no HDF5")
    clone.configure(sources={"own": {"features": {"path": "own.h5"}}}, initialization={"initializers": ["nfm"]})
    done = clone.snakemake(target, check=False)
    assert any("error: own.h5: " in line for line in done.stdout.splitlines()), done.stdout


def test_ambiguous_layers_are_refused_with_the_list(clone):
    save_weights(build("vgg13", 4, seed=5, width=0.03125), clone.path / "own.pt")
    network = {"name": "vgg13", "width": 0.03125, "image_size": 32}
    sources = {"own": {"checkpoint": {"path": "own.pt", "network": network, "classes": 4, "dataset": "digits"}}}
    clone.configure(sources=sources, initialization={"initializers": ["nfm", "normal"]})
    runs = [RUN.format(initializer) for initializer in ("nfm", "normal")]
    done = clone.snakemake(*runs, check=False)
    lines = [line for line in done.stdout.splitlines() if "error:" in line]
    assert "features.3 with patches 2x3x3 could take features.2 or features.5: choose one in layers" in lines[0]
    assert (clone.results / "initialization/runs/digits/normal/seed0/summary.json").exists(), (
        "the rest of the grid goes on"
    )
    chosen = {"features.3": "features.5", "features.6": "features.10", "features.8": "features.12"}
    chosen |= {"features.11": "features.12", "features.13": "features.22"}
    chosen |= {"features.16": "features.20", "features.18": "features.22"}
    clone.configure(sources=sources, initialization={"initializers": ["nfm", "normal"], "layers": {"own": chosen}})
    clone.snakemake(*runs)


def test_a_network_before_training_is_a_source(clone):
    """Its NFM is that of the network which its initializer and its seed give."""
    network = {"name": "vgg11_small", "width": 0.03125, "image_size": 32}
    clone.configure(sources={"random": {"initial": {"network": network, "seed": 5}}})
    features = clone.results / "sources/random/features.h5"
    clone.snakemake("results/test/sources/random/features.h5")
    initial = build("vgg11_small", 2, seed=5, width=0.03125)
    initialize(initial, "kaiming_normal", seed=5)
    expected, stored = nfm(initial), read_matrices(features)
    assert list(stored) == ["nfm"], "no images, no AGOP"
    for layer, matrix in stored["nfm"].items():
        torch.testing.assert_close(matrix.dense(), expected[layer].dense())


def test_torchvisions_weights_from_data_dir(clone):
    """A small network's published file name with random weights in it, as nothing can be downloaded in a test."""
    (clone.path / "archives").mkdir()
    weights = clone.path / "archives" / "squeezenet1_1-b8a52dc0.pth"
    torch.manual_seed(0)
    save_weights(models.squeezenet1_1(), weights)
    source = {"weights": "SqueezeNet1_1_Weights.IMAGENET1K_V1", "dataset": "digits", "image_size": 32}
    clone.configure(sources={"own": {"torchvision": source}}, data_dir="archives")
    done = clone.snakemake("results/test/sources/own/features.h5", check=False)
    assert "squeezenet1_1-b8a52dc0.pth: its sha256 is" in done.stdout
    clone.configure(
        sources={"own": {"torchvision": source | {"sha256": checksum(weights)}}},
        data_dir="archives",
        feature_matrices={"sample_size": 4, "probes": 2},
    )
    clone.snakemake("results/test/sources/own/features.h5")
    with h5py.File(clone.results / "sources/own/features.h5") as file:
        assert len(file["agop"]) == 26
        assert file.attrs["estimator"] == "2 probes"


def test_a_killed_training_goes_on_to_the_same_numbers(clone, tmp_path):
    training = {"epochs": 12, "batch_size": 16, "learning_rate": 0.01}
    study = {"initializers": ["kaiming_uniform"], "training": training}
    clone.configure(datasets={"digits": {"limit": 600}}, sources=None, initialization=study)
    shutil.copytree(clone.path, tmp_path / "undisturbed", symlinks=True)
    process = clone.start("--cores", "1", "--configfile", "config/test.yaml")
    run = clone.results / "initialization/runs/digits/kaiming_uniform/seed0"
    deadline = time.monotonic() + 120
    while not (run / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)  # Snakemake alone: its job ends by itself, and writes no result
    process.wait()
    log = clone.results / "logs/train/initialization/runs/digits/kaiming_uniform/seed0.log"
    while "interrupted (SIGTERM)" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "interrupted (SIGTERM)" in log.read_text()
    assert (run / "checkpoint.pt").exists()
    assert not (run / "metrics.csv").exists()
    clone.snakemake("--unlock")
    clone.snakemake(TABLE)
    assert "resuming after" in log.read_text()
    assert {path.name for path in run.iterdir()} - {"activations.csv"} == {"metrics.csv", "summary.json"}
    clone.path = tmp_path / "undisturbed"
    clone.snakemake(TABLE)
    resumed, whole = (
        pd.read_csv(path / "runs/digits/kaiming_uniform/seed0/metrics.csv").drop(columns=list(CLOCK))
        for path in (run.parents[3], clone.results / "initialization")
    )
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)
    assert (run.parents[3] / "tidy.csv").read_bytes() == (clone.results / "initialization/tidy.csv").read_bytes()


def test_a_run_that_diverges_is_in_the_table_and_stops_nothing(clone):
    training = {"epochs": 3, "batch_size": 16, "learning_rate": 1e7}
    clone.configure(initialization={"training": training, "initializers": ["normal", "agop"]})
    clone.snakemake(TABLE)
    assert "diverged" in (clone.results / "initialization/table.md").read_text()
    assert pd.read_csv(clone.results / "initialization/runs.csv").status.tolist() == ["diverged"] * 2


def test_a_broken_archive_is_one_line_and_the_rest_goes_on(clone):
    folder = clone.path / "archives"
    folder.mkdir()
    (folder / "cifar-10-python.tar.gz").write_bytes(b"half of it")
    clone.configure(
        datasets={"digits": {"limit": 60}, "cifar10": {}},
        data_dir="archives",
        initialization={"initializers": ["normal"]},
    )
    done = clone.snakemake(check=False)
    assert done.returncode
    lines = [line for line in done.stdout.splitlines() if "error:" in line]
    assert any("archives/cifar-10-python.tar.gz: its sha256 is" in line for line in lines)
    assert "Traceback" not in done.stdout
    assert (clone.results / "initialization/runs/digits/normal/seed0/metrics.csv").exists()


TWO_ARCHIVES = """
from ansatz.registry import dataset


@dataset("http://127.0.0.1:1", {"a.npy": "5feceb66", "b.npy": "6b86b273"}, images="60 + – + –")
def mine(folder):
    pass
"""


def test_archives_that_have_arrived_stay_when_another_one_fails(clone):
    (clone.path / "mine.py").write_text(TWO_ARCHIVES)
    (clone.path / "archives").mkdir()
    (clone.path / "archives" / "a.npy").write_text("0")
    clone.configure(plugins=["mine.py"], datasets={"digits": {}, "mine": {}}, data_dir="archives")
    done = clone.snakemake("downloads", "--keep-going", check=False)
    lines = [line for line in done.stdout.splitlines() if "error:" in line]
    first, repeated = lines
    assert "http://127.0.0.1:1/b.npy: cannot be downloaded ([Errno 111] Connection refused)" in first
    assert repeated.startswith("fetch_archive/mine/b.npy: error: "), "at the end, with the log's name"
    assert first.endswith(repeated.partition(": ")[2])
    assert (clone.results / "datasets/mine/archives/a.npy").read_text() == "0"
    assert clone.planned("downloads") == {"downloads": 1, "fetch_archive": 1}
    (clone.path / "archives" / "b.npy").write_text("1")
    clone.snakemake("downloads")
    assert clone.planned("downloads") == {}


@pytest.mark.parametrize("file", ["datasets/digits/dataset.h5", "sources/digits/features.h5"])
def test_a_truncated_input_is_one_line(finished, file):
    os.truncate(finished.results / file, 1000)
    shutil.rmtree(finished.results / "initialization/runs")
    done = finished.snakemake(check=False)
    lines = [line for line in done.stdout.splitlines() if "error:" in line]
    assert f"results/test/{file}: not a readable" in lines[0]
    assert "Traceback" not in done.stdout


def test_an_absent_gpu_is_one_line(clone):
    clone.configure(device="cuda:63", initialization={"initializers": ["normal"]})
    done = clone.snakemake(check=False)
    assert "error: device: there is no cuda:63" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_slurm_profile_asks_for_what_the_rules_need(clone):
    clone.configure(device="auto")
    assert clone.snakemake("--profile", "slurm", "--dry-run").returncode == 0


def test_downloads_are_what_the_grid_needs_and_nothing_else(clone):
    datasets = {"digits": {}, "cifar10": {}, "mine": {"folder": str(clone.path)}}
    clone.configure(datasets=datasets, sources={"mnist": {"train": {"dataset": "mnist"}}})
    assert clone.planned("downloads") == {"downloads": 1, "fetch_archive": 5}
    weights = {"weights": "VGG11_Weights.IMAGENET1K_V1", "dataset": "mine"}
    clone.configure(datasets=datasets, sources={"imagenet": {"torchvision": weights}})
    assert clone.planned("downloads") == {"downloads": 1, "fetch_archive": 1, "fetch_weights": 1}
