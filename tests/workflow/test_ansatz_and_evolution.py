"""The ansatz and features' evolution in small: what they make, what reruns, what is refused."""

import json
import re

import h5py
import pandas as pd
import pytest
import torch
from PIL import Image

from ansatz.export.study import read_study
from ansatz.files.tables import ALIGNMENT
from ansatz.networks.build import build
from ansatz.networks.weights import save_weights
from studies import SECTIONS


def test_every_convolution_of_every_network_has_a_row(complete_once):
    tidy = pd.read_csv(complete_once.results / "ansatz/tidy.csv")
    assert list(tidy.columns) == list(ALIGNMENT)
    found = tidy.groupby(["experiment", "variant"], sort=False).layer.agg(list).to_dict()
    assert found == {
        ("lenet", "lenet5"): ["features.0", "features.3"],
        ("sweep", "patch_size-3_pooling-max"): ["features.0", "features.2"],
        ("sweep", "patch_size-5_pooling-max"): ["features.0", "features.2"],
    }
    assert tidy["shape"].tolist() == ["1x5x5", "1x5x5", "1x3x3", "3x3x3", "1x5x5", "3x5x5"]
    assert tidy.images.eq(8).all()
    measured = tidy.filter(regex="correlation|cosine").dropna(axis=1, how="all")  # no heads are shuffled
    assert measured.abs().le(1 + 1e-9).all().all()
    assert tidy.cosine_nfm_initial_nfm.lt(1).all()  # it was trained


def test_accuracies_are_those_of_the_network_that_was_compared(complete_once):
    tidy = pd.read_csv(complete_once.results / "ansatz/tidy.csv")
    metrics = pd.read_csv(complete_once.results / "ansatz/lenet/lenet5/digits/seed0/metrics.csv")
    assert tidy.validation_accuracy[0] == metrics.validation_accuracy.iloc[-1]


def test_tables_and_pictures_are_there(complete_once):
    cells = [line.split("|")[1:4] for line in (complete_once.results / "ansatz/table.md").read_text().splitlines()]
    assert ["sweep", "patch_size-5_pooling-max", "1"] in [[cell.strip() for cell in row] for row in cells]
    for figure in ("layers", "variants"):
        assert Image.open(complete_once.results / f"ansatz/{figure}.png").width > 300
    drawn = complete_once.results / "ansatz/lenet/lenet5/digits/seed0"
    names = ("first_layer_matrices", "first_layer_eigenvectors", "saliency/0", "saliency/china")
    assert all(Image.open(drawn / f"{name}.png").width > 50 for name in names)
    assert not list((complete_once.results / "ansatz/sweep").rglob("*.png"))  # what varies has its figure above


def test_evolution_holds_what_was_seen(complete_once):
    folder = complete_once.results / "evolution/lenet/digits/seed0"
    with h5py.File(folder / "evolution.h5") as file:
        assert file["curves/step"][...].tolist() == [0, 1, 3, 6]  # 48 images in batches of 16
        assert list(file["layers"]) == ["features.0", "features.3"]
        assert file["layers/features.0/filters"].shape == (4, 1, 1, 5, 5)
        assert file["layers/features.0/outputs"].shape == (4, 1, 28, 28)
        assert json.loads(file.attrs["provenance"])["parameters"]["start"]["seed"] == 0
    assert (folder / "table.md").read_text().count("\n") > 5
    for figure in ("curves", "correlation", "nfm", "filters", "outputs"):
        assert Image.open(folder / f"{figure}.png").width > 200


def test_trainings_of_every_section_are_exported(complete_once):
    places = {run.place: len(run.epochs) for run in read_study(complete_once.results).runs}
    assert places == {
        "ansatz/lenet/lenet5/digits/seed0": 2,
        "ansatz/sweep/patch_size-3_pooling-max/digits/seed0": 2,
        "ansatz/sweep/patch_size-5_pooling-max/digits/seed0": 2,
        "evolution/lenet/digits/seed0": 2,
        "initialization/runs/digits/kaiming_uniform/seed0": 2,
        "initialization/runs/digits/nfm/seed0": 2,
        "sources/digits": 1,
    }


def test_nothing_is_to_be_done_again_and_another_picture_draws_one(complete):
    assert complete.planned() == {}
    complete.configure_all(pictures=[0, "china", 1])
    assert complete.planned() == {"draw_saliency": 1}


def test_another_variant_trains_what_is_missing(complete):
    sections = json.loads(json.dumps(SECTIONS))
    sections["ansatz"]["trained"]["sweep"]["vary"]["patch_size"].append(1)
    complete.configure_all(ansatz=sections["ansatz"])
    expected = {
        "train_network": 1,
        "extract_features": 2,
        "compare_features": 1,
        "tabulate_ansatz": 1,
        "draw_ansatz": 3,
    }
    assert complete.planned() == expected


def test_pretrained_networks_are_fetched_by_name_or_read_from_a_file_and_compared(clone):
    """SqueezeNet, with weights of ours where the published ones would have been fetched to, and a user's ShuffleNet."""
    name, network = "SqueezeNet1_1_Weights.IMAGENET1K_V1", {"name": "shufflenet_v2_x0_5", "image_size": 32}
    network["layers"] = ["conv1.0", "stage2.*"]
    normalisation = {"mean": [0.5], "std": [0.25]}
    own = {"path": "own.pt", "network": network, "classes": 10, "normalisation": normalisation}
    torch.save({"model": build("shufflenet_v2_x0_5", 10, seed=3).state_dict(), "epoch": 3}, clone.path / "own.pt")
    pretrained = {"weights": [name], "checkpoints": {"mine": own}, "dataset": "digits", "image_size": 32}
    pretrained["normalisation"] = "weights"
    matrices = {"sample_size": 2, "probes": 1}
    clone.configure(
        initialization=None,
        sources=None,
        ansatz={"pretrained": pretrained},
        feature_matrices=matrices,
        pictures=["flower"],
    )
    assert clone.planned("ansatz")["fetch_weights"] == 1
    (clone.results / "weights").mkdir(parents=True)
    save_weights(build("squeezenet1_1", 1000, seed=3), clone.results / f"weights/{name}.pth")
    targets = ("tidy.csv", "table.md", "layers.png", f"pretrained/{name}/saliency/flower.png")
    done = clone.snakemake(*(f"results/test/ansatz/{target}" for target in targets))
    tidy = pd.read_csv(clone.results / "ansatz/tidy.csv")
    assert tidy.groupby("variant").size().to_dict() == {"squeezenet1_1": 26, "mine": 15}
    assert "1x3x3 in 24 groups" in set(tidy["shape"])
    assert (clone.results / f"ansatz/pretrained/{name}/saliency/flower.png").exists()
    assert re.search("pretrained/mine, trained: accuracy .* on 2 training images, no more than chance", done.stdout)
    with h5py.File(clone.results / f"ansatz/pretrained/{name}/trained.h5") as file:
        made = json.loads(file.attrs["provenance"])["parameters"]
    assert made["normalisation"] == name


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("ansatz", "config.ansatz: missing"),
        (
            "results/test/ansatz/lenet/lenet/digits/seed0/correlations.csv",
            "config.ansatz: ansatz/lenet/lenet/digits/seed0 is",
        ),
        (
            "results/test/evolution/lennet/digits/seed0/evolution.h5",
            "evolution/lennet/digits/seed0 is not configured; the nearest is evolution/lenet/digits/seed0",
        ),
        (
            "results/test/evolution/lenet/digits/seed0/filters_of_all.png",
            "filters_of_all",
        ),
    ],
)
def test_a_target_that_is_not_configured_is_one_line(clone, target, line):
    clone.configure(evolution=SECTIONS["evolution"])
    done = clone.snakemake(target, "--dry-run", check=False)
    assert done.returncode != 0
    assert line in done.stdout
    assert "Traceback" not in done.stdout
