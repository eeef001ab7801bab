"""The ansatz and features' evolution in small: what they make, what reruns, what is refused."""

import json
import shutil

import h5py
import pandas as pd
import pytest
from PIL import Image

from ansatz.networks import build, save_weights
from ansatz.store import ALIGNMENT
from clone import Clone, copy_repository, refusal, small_study
from declared import named_library, reached, rules

TRAINING = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01, "optimizer": "adam"}
SMALL = {"width": 0.05, "image_size": 32, "in_channels": 1}
SECTIONS = {
    "ansatz": {
        "trained": {
            "lenet": {"datasets": ["digits"], "network": {"name": "lenet5", **SMALL}, "training": TRAINING},
            "sweep": {
                "datasets": ["digits"],
                "network": {"name": "cnn", "depth": 2, **SMALL},
                "vary": {"patch_size": [3, 5], "pooling": ["max"]},
                "initializer": "normal",
                "std": 0.1,
                "training": TRAINING,
            },
        }
    },
    "evolution": {
        "lenet": {"dataset": "digits", "network": {"name": "lenet5", **SMALL}, "steps": [1], "training": TRAINING}
    },
    "pictures": [0, "china"],
}
TARGETS = ("ansatz", "evolution")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A clone in which both have run; not to be changed."""
    clone = copy_repository(tmp_path_factory.mktemp("features") / "clone")
    clone.configure(**SECTIONS)
    clone.snakemake(*TARGETS)
    return clone


@pytest.fixture
def to_change(seen, tmp_path):
    shutil.copytree(seen.path, tmp_path / "clone", symlinks=True)
    return Clone(tmp_path / "clone")


def test_every_convolution_of_every_network_has_a_row(seen):
    tidy = pd.read_csv(seen.results / "ansatz/tidy.csv")
    assert list(tidy.columns) == list(ALIGNMENT)
    found = tidy.groupby(["experiment", "variant"], sort=False).layer.agg(list).to_dict()
    assert found == {
        ("lenet", "lenet5"): ["features.0", "features.3"],
        ("sweep", "patch_size-3_pooling-max"): ["features.0", "features.2"],
        ("sweep", "patch_size-5_pooling-max"): ["features.0", "features.2"],
    }
    assert tidy["shape"].tolist() == ["1x5x5", "1x5x5", "1x3x3", "3x3x3", "1x5x5", "3x5x5"]
    assert tidy.images.eq(8).all()
    assert tidy.filter(regex="correlation|cosine").abs().le(1 + 1e-9).all().all()
    assert tidy.cosine_nfm_initial_nfm.lt(1).all()  # it was trained


def test_accuracies_are_those_of_the_network_that_was_compared(seen):
    tidy = pd.read_csv(seen.results / "ansatz/tidy.csv")
    metrics = pd.read_csv(seen.results / "ansatz/lenet/lenet5/digits/seed0/metrics.csv")
    assert tidy.validation_accuracy[0] == metrics.validation_accuracy.iloc[-1]


def test_tables_and_pictures_are_there(seen):
    cells = [line.split("|")[1:4] for line in (seen.results / "ansatz/table.md").read_text().splitlines()]
    assert ["sweep", "patch_size-5_pooling-max", "1"] in [[cell.strip() for cell in row] for row in cells]
    for figure in ("layers", "variants"):
        assert Image.open(seen.results / f"ansatz/{figure}.png").width > 300
    drawn = seen.results / "ansatz/lenet/lenet5/digits/seed0"
    names = ("first_layer_matrices", "first_layer_eigenvectors", "looks/0", "looks/china")
    assert all(Image.open(drawn / f"{name}.png").width > 50 for name in names)
    assert not list((seen.results / "ansatz/sweep").rglob("*.png"))  # what varies has its figure above


def test_evolution_holds_what_was_seen(seen):
    folder = seen.results / "evolution/lenet"
    with h5py.File(folder / "evolution.h5") as file:
        assert file["curves/step"][...].tolist() == [0, 1, 3, 6]  # 48 images in batches of 16
        assert list(file["layers"]) == ["features.0", "features.3"]
        assert file["layers/features.0/filters"].shape == (4, 1, 1, 5, 5)
        assert file["layers/features.0/outputs"].shape == (4, 1, 28, 28)
        assert json.loads(file.attrs["provenance"])["parameters"]["seed"] == 0
    assert (folder / "table.md").read_text().count("\n") > 5
    for figure in ("curves", "correlation", "nfm", "filters", "outputs"):
        assert Image.open(folder / f"{figure}.png").width > 200


def test_the_library_of_a_script_is_every_file_that_it_reaches(seen):
    named = named_library(seen, *TARGETS)
    assert named == {rule: reached(rules()[rule][1]) for rule in named}
    assert {"train_case", "extract_case", "compare_case", "draw_looks", "train_evolution"} < set(named)


def test_nothing_is_to_be_done_again_and_another_picture_draws_one(to_change):
    assert to_change.planned(*TARGETS) == {}
    to_change.configure(**SECTIONS | {"pictures": [0, "china", 1]})
    assert to_change.planned(*TARGETS) == {"draw_looks": 1, "ansatz": 1}


def test_another_variant_trains_what_is_missing(to_change):
    sections = json.loads(json.dumps(SECTIONS))
    sections["ansatz"]["trained"]["sweep"]["vary"]["patch_size"].append(1)
    to_change.configure(**sections)
    expected = {"train_case": 1, "extract_case": 2, "compare_case": 1, "tabulate_ansatz": 1, "draw_ansatz": 2}
    assert to_change.planned(*TARGETS) == expected | {"ansatz": 1}


def test_pretrained_networks_are_fetched_by_name_and_compared(clone):
    """ResNet-18 and MobileNetV2, with weights of ours where the published ones would have been fetched to."""
    names = {"ResNet18_Weights.IMAGENET1K_V1": "resnet18", "MobileNet_V2_Weights.IMAGENET1K_V1": "mobilenet_v2"}
    pretrained = {"weights": list(names), "images": "digits", "image_size": 32}
    matrices = {"images": 2, "probes": 1}
    clone.configure(ansatz={"pretrained": pretrained}, feature_matrices=matrices, pictures=["flower"])
    assert clone.planned("ansatz")["fetch_weights"] == 2
    (clone.results / "weights").mkdir(parents=True)
    for name, network in names.items():
        save_weights(build(network, 1000, seed=3), clone.results / f"weights/{name}.pth")
    clone.snakemake("ansatz")
    tidy = pd.read_csv(clone.results / "ansatz/tidy.csv")
    assert tidy.groupby("variant").size().to_dict() == {"resnet18": 20, "mobilenet_v2": 52}
    assert "1x3x3 in 96 groups" in set(tidy["shape"])
    assert (clone.results / "ansatz/pretrained/ResNet18_Weights.IMAGENET1K_V1/looks/flower.png").exists()


MISTAKES = {
    "an option of another network": (
        {"evolution": {"a": {"dataset": "digits", "network": {"name": "lenet5", "depth": 3}}}},
        "config.evolution.a.network.depth: lenet5 has no depth; cnn has",
    ),
    "varying it": (
        {"ansatz": {"trained": {"a": {"datasets": ["digits"], "vary": {"pooling": ["max"]}}}}},
        "config.ansatz.trained.a.vary.pooling: vgg11 has no pooling; cnn has",
    ),
    "unknown dataset": (
        {"ansatz": {"trained": {"a": {"datasets": ["cifar11"]}}}},
        "config.ansatz.trained.a.datasets: 'cifar11' is no dataset; they are digits",
    ),
    "deviation of another initializer": (
        {"ansatz": {"trained": {"a": {"datasets": ["digits"], "std": 0.1}}}},
        "config.ansatz.trained.a.std: with the initializer normal only, but it is kaiming_normal",
    ),
    "unknown layer": (
        {"evolution": {"a": {"dataset": "digits", "network": {"name": "lenet5"}, "layers": ["conv1"]}}},
        "config.evolution.a.layers: 'conv1' is no convolution of lenet5; they are features.0, features.3",
    ),
    "picture that is not there": (
        {"pictures": ["nowhere.jpg"]},
        "config.pictures.0: 'nowhere.jpg' is not there",
    ),
    "nothing in it": ({"ansatz": {}}, "config.ansatz: give at least one of pretrained, trained"),
    "a value twice": (
        {"ansatz": {"trained": {"a": {"datasets": ["digits"], "vary": {"width": [1, 1.0]}}}}},
        "config.ansatz.trained.a.vary.width: [1, 1.0] has non-unique elements",
    ),
    "picture that is a folder": ({"pictures": ["config"]}, "config.pictures.0: 'config' is a folder; name its images"),
}


@pytest.mark.parametrize(("changes", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(changes, line):
    assert line in refusal(small_study(**changes))


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("ansatz", "config.ansatz: missing"),
        ("results/test/ansatz/lenet/lenet/digits/seed0/correlations.csv", "config.ansatz: lenet/lenet/digits/seed0 is"),
        (
            "results/test/evolution/lennet/evolution.h5",
            "config.evolution: lennet is not configured; the nearest is lenet",
        ),
        (
            "results/test/evolution/lenet/filters_of_all.png",
            "No rule to produce results/test/evolution/lenet",
        ),
    ],
)
def test_a_target_that_is_not_configured_is_one_line(clone, target, line):
    clone.configure(evolution=SECTIONS["evolution"])
    done = clone.snakemake(target, "--dry-run", check=False)
    assert done.returncode != 0
    assert line in done.stdout
    assert "Traceback" not in done.stdout
