"""Kernel machines in small: what they make, what reruns, what is refused."""

import json

import h5py
import pandas as pd
import pytest
from PIL import Image

from ansatz.files.tables import SCORES
from clone import shared_clone

ALONE = {"initialization": None, "sources": None}  # nothing but machines
SMALL = {"train": 30, "test": 20, "depth": 2}
LEARNING = {"iterations": 1, "sample_size": 4}
TRAINING = {"optimizer": "adam", "learning_rate": 0.001, "epochs": 2, "batch_size": 8}
SECTIONS = {
    "kernels": {
        "bars": {"task": "bars", "noise": [0.25, 1], "training": TRAINING, "width": 4, **SMALL, **LEARNING},
        "framed": {"task": "framed", "datasets": ["digits"], "noise": [1], "frame": 10, "machines": ["cntk"], **SMALL},
        "digits": {
            "datasets": ["digits"],
            "machines": ["cntk", "laplace", "convrfm_laplace"],
            "seeds": [0, 1],
            **SMALL,
            **LEARNING,
        },
    }
}


@pytest.fixture(scope="session")
def learned(shared):
    """A clone in which machines have learned; not to be changed."""

    def run(clone):
        clone.configure(**ALONE, **SECTIONS, datasets={"digits": {"limit": 100}})
        clone.snakemake("kernels")

    return shared_clone(shared / "learned", run)


@pytest.fixture
def to_change(learned, tmp_path):
    return learned.copy(tmp_path / "clone")


def test_every_machine_and_layer_has_a_row(learned):
    tidy = pd.read_csv(learned.results / "kernels/tidy.csv")
    assert list(tidy.columns) == list(SCORES)
    found = tidy.groupby(["experiment", "noise", "machine", "seed"], sort=False).layers.agg(list).to_dict()
    of_bars = {"cntk": [0], "convrfm": [1], "deep_convrfm": [1, 2], "cnn": [2]}
    expected = {("bars", noise, name, 0): layers for noise in (0.25, 1) for name, layers in of_bars.items()}
    expected[("framed", 1, "cntk", 0)] = [0]
    of_digits = {"cntk": [0], "laplace": [0], "convrfm_laplace": [1]}
    expected |= {("digits", 0, name, seed): layers for name, layers in of_digits.items() for seed in (0, 1)}
    assert found == expected
    assert tidy.train.eq(30).all()
    assert tidy.test.eq(20).all()
    assert tidy.accuracy.between(0, 1).all()


def test_tables_and_pictures_are_there(learned):
    kernels = learned.results / "kernels"
    assert (kernels / "table.md").read_text().count("convrfm_laplace") == 1
    figures = [
        "noise",
        "improvement",
        "layers",
        "bars/bars/noise0.25/saliency_seed0",
        "bars/bars/noise1/eigenvectors_seed0",
    ]
    for figure in (*figures, "digits/digits/noise0/saliency_seed0"):
        assert Image.open(kernels / f"{figure}.png").width > 150, figure
    assert not list((kernels / "framed").rglob("*.png"))  # the plain kernel has learned no features
    history = pd.read_csv(kernels / "bars/bars/noise1/convrfm/seed0/history.csv")
    assert history.selected.sum() == 1
    assert history.iteration.max() == 1


def test_what_was_learned_is_kept(learned):
    with h5py.File(learned.results / "kernels/bars/bars/noise1/deep_convrfm/seed0/learned.h5") as file:
        assert file["images"].shape == (6, 1, 16, 32)
        assert {layer: group["matrix"].shape for layer, group in file["layers"].items()} == {"0": (9, 9), "2": (36, 36)}
        assert file["layers/2/saliency"].shape == (6, 12, 28)
        assert json.loads(file.attrs["provenance"])["parameters"]["machine"]["options"]["width"] == 4


def test_nothing_is_to_be_done_again_and_another_seed_learns_what_is_missing(to_change):
    assert to_change.planned() == {}
    sections = json.loads(json.dumps(SECTIONS))
    sections["kernels"]["digits"]["seeds"].append(2)
    to_change.configure(**ALONE, **sections, datasets={"digits": {"limit": 100}})
    expected = {"run_machine": 3, "tabulate_machines": 1, "draw_machines": 3}
    assert to_change.planned() == expected


def test_an_option_reruns_the_machines_that_have_it_and_its_place_none(to_change):
    sections = json.loads(json.dumps(SECTIONS))
    sections["kernels"]["bars"] = dict(reversed(sections["kernels"]["bars"].items()))
    sections["kernels"]["bars"]["training"] = dict(reversed(TRAINING.items()))
    to_change.configure(**ALONE, **sections, datasets={"digits": {"limit": 100}})
    assert to_change.planned() == {}
    sections["kernels"]["bars"]["training"]["epochs"] = 3
    to_change.configure(**ALONE, **sections, datasets={"digits": {"limit": 100}})
    assert to_change.planned()["run_machine"] == 2  # the CNN's, at two levels of noise


def test_levels_of_noise_that_are_nearly_one_are_two(clone):
    clone.configure(
        initialization=None,
        sources=None,
        kernels={"a": {"task": "bars", "noise": [0.1234567, 0.12345678, 1, 1e-9], "machines": ["cntk"]}},
    )
    assert clone.planned()["run_machine"] == 4


def test_a_target_that_is_not_configured_is_one_line(clone):
    clone.configure(**ALONE, **SECTIONS)
    done = clone.snakemake("results/test/kernels/bars/bars/noise1/cnttk/seed0/scores.csv", "--dry-run", check=False)
    assert done.returncode != 0
    wrong, nearest = (f"kernels/bars/bars/noise1/{machine}/seed0" for machine in ("cnttk", "cntk"))
    assert f"config.kernels: {wrong} is not configured; the nearest is {nearest}" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"datasets": ["digits"], "train": 10**6, "test": 5}, "train: 1000000 is more than the"),
        ({"datasets": ["digits"], "depth": 9, "train": 20, "test": 5}, "require images of at least 19 px"),
        (
            {"task": "framed", "datasets": ["digits"], "frame": 5, "train": 20, "test": 5},
            "frame: 5 px is smaller than the images of digits",
        ),
    ],
)
def test_what_only_the_images_show_is_one_line_too(clone, section, line):
    clone.configure(**ALONE, kernels={"a": section | {"machines": ["cntk"]}})
    done = clone.snakemake("kernels", check=False)
    assert done.returncode != 0
    assert line in done.stdout
    assert "Traceback" not in done.stdout
