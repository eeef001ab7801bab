"""Kernel machines in small: what they make, what reruns, what is refused."""

import json
import shutil

import h5py
import pandas as pd
import pytest
from PIL import Image

from ansatz.store import SCORES
from clone import Clone, copy_repository, refusal, small_study
from declared import named_library, reached, rules
from real_data import ROOT

SMALL = {"train": 30, "test": 20, "iterations": 1, "samples": 4, "depth": 2, "width": 4}
TRAINING = {"optimizer": "adam", "learning_rate": 0.001, "epochs": 2, "batch_size": 8}
SECTIONS = {
    "kernels": {
        "bars": {"task": "bars", "noise": [0.25, 1], "training": TRAINING, **SMALL},
        "framed": {"task": "framed", "datasets": ["digits"], "noise": [1], "frame": 10, "machines": ["cntk"], **SMALL},
        "digits": {
            "datasets": ["digits"],
            "machines": ["cntk", "laplace", "convrfm_laplace"],
            "seeds": [0, 1],
            **SMALL,
        },
    }
}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A clone in which machines have learnt; not to be changed."""
    clone = copy_repository(tmp_path_factory.mktemp("kernels") / "clone")
    clone.configure(**SECTIONS, datasets={"digits": {"limit": 100}})
    clone.snakemake("kernels")
    return clone


@pytest.fixture
def to_change(learnt, tmp_path):
    shutil.copytree(learnt.path, tmp_path / "clone", symlinks=True)
    return Clone(tmp_path / "clone")


def test_every_machine_and_layer_has_a_row(learnt):
    tidy = pd.read_csv(learnt.results / "kernels/tidy.csv")
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


def test_tables_and_pictures_are_there(learnt):
    kernels = learnt.results / "kernels"
    assert (kernels / "table.md").read_text().count("convrfm_laplace") == 1
    figures = [
        "noise",
        "improvement",
        "layers",
        "bars/bars/noise0.25/looks_seed0",
        "bars/bars/noise1/eigenvectors_seed0",
    ]
    for figure in (*figures, "digits/digits/noise0/looks_seed0"):
        assert Image.open(kernels / f"{figure}.png").width > 150, figure
    assert not list((kernels / "framed").rglob("*.png"))  # the plain kernel has learnt no features
    history = pd.read_csv(kernels / "bars/bars/noise1/convrfm/seed0/history.csv")
    assert history.selected.sum() == 1
    assert history.iteration.max() == 1


def test_what_was_learnt_is_kept(learnt):
    with h5py.File(learnt.results / "kernels/bars/bars/noise1/deep_convrfm/seed0/learnt.h5") as file:
        assert file["images"].shape == (6, 1, 16, 32)
        assert {layer: group["matrix"].shape for layer, group in file["layers"].items()} == {"0": (9, 9), "2": (36, 36)}
        assert file["layers/2/looks"].shape == (6, 12, 28)
        assert json.loads(file.attrs["provenance"])["parameters"]["options"]["width"] == 4


def test_the_library_of_a_script_is_every_file_that_it_reaches(learnt):
    named = named_library(learnt, "kernels")
    assert named == {rule: reached(rules()[rule][1]) for rule in named}
    assert {"run_machine", "tabulate_machines", "draw_machines", "draw_learnt"} < set(named)


def test_nothing_is_to_be_done_again_and_another_seed_learns_what_is_missing(to_change):
    assert to_change.planned("kernels") == {}
    sections = json.loads(json.dumps(SECTIONS))
    sections["kernels"]["digits"]["seeds"].append(2)
    to_change.configure(**sections, datasets={"digits": {"limit": 100}})
    expected = {"run_machine": 3, "tabulate_machines": 1, "draw_machines": 3, "kernels": 1}
    assert to_change.planned("kernels") == expected


def test_an_option_reruns_the_machines_that_have_it_and_its_place_none(to_change):
    sections = json.loads(json.dumps(SECTIONS))
    sections["kernels"]["bars"] = dict(reversed(sections["kernels"]["bars"].items()))
    sections["kernels"]["bars"]["training"] = dict(reversed(TRAINING.items()))
    to_change.configure(**sections, datasets={"digits": {"limit": 100}})
    assert to_change.planned("kernels") == {}
    sections["kernels"]["bars"]["training"]["epochs"] = 3
    to_change.configure(**sections, datasets={"digits": {"limit": 100}})
    assert to_change.planned("kernels")["run_machine"] == 2  # the CNN's, at two levels of noise


def test_the_published_experiments_are_a_plan(clone):
    machines = 6 * 5 * 4 + 4 * 3 * 4 + 5 * 3 * 6  # levels of noise or datasets, seeds, machines
    assert clone.planned("kernels", config="config/kernels.yaml")["run_machine"] == machines


def test_levels_of_noise_that_are_nearly_one_are_two(clone):
    clone.configure(kernels={"a": {"task": "bars", "noise": [0.1234567, 0.12345678, 1, 1e-9], "machines": ["cntk"]}})
    assert clone.planned("kernels")["run_machine"] == 4


MISTAKES = {
    "bars of a dataset": (
        {"task": "bars", "datasets": ["digits"]},
        "config.kernels.a.datasets: digits, but the task bars draws its own images",
    ),
    "no dataset": ({"task": "framed"}, "config.kernels.a.datasets: missing, of whose images the task framed is made"),
    "unknown dataset": ({"datasets": ["digit"]}, "config.kernels.a.datasets: 'digit' is no dataset; they are digits"),
    "noise in images": (
        {"datasets": ["digits"], "noise": [1]},
        "config.kernels.a.noise: [1], but the task images has none",
    ),
    "nothing to compare with": (
        {"task": "bars", "machines": ["convrfm"]},
        "config.kernels.a.machines: cntk is missing, with which the others are compared",
    ),
    "a small number as text": (
        {"task": "bars", "ridges": ["1e-5"]},
        "config.kernels.a.ridges.0: '1e-5' is not a number; write 1.0e-05 without quotes",
    ),
    "a nonlinearity of none": ({"task": "bars", "nonlinearity": "None"}, "'None' is none of relu, null"),
    "unknown machine": (
        {"machines": ["svm"]},
        "config.kernels.a.machines.0: 'svm' is none of cntk, nngp, laplace, convrfm",
    ),
    "misspelt key": ({"noize": [1]}, "unknown key 'noize'; did you mean 'noise'?"),
}


@pytest.mark.parametrize(("section", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(section, line):
    assert line in refusal(small_study(kernels={"a": section}))


def test_a_task_whose_options_the_schema_lacks_is_one_line():
    """As of a user's own task, on the way."""
    definitions = (ROOT / "workflow/rules/configuration.smk").read_text().rpartition("\nSCHEMA = ")[0]
    exec(definitions, namespace := {})
    part = {"task": "spots", "datasets": [], "noise": [0], "machines": ["cntk"]}
    schema = {"$defs": {"task_options": {"const": {}}, "machine_options": {"const": {"cntk": []}}}}
    told = next(namespace["wrong_tasks"]({"kernels": {"a": part}}, schema))
    assert told == "kernels.a.task: spots is to be in the schema's $defs.task_options too, with what it takes"


def test_a_target_that_is_not_configured_is_one_line(clone):
    clone.configure(**SECTIONS)
    done = clone.snakemake("results/test/kernels/bars/bars/noise1/cnttk/seed0/scores.csv", "--dry-run", check=False)
    assert done.returncode != 0
    wrong, nearest = (f"bars/bars/noise1/{machine}/seed0" for machine in ("cnttk", "cntk"))
    assert f"config.kernels: {wrong} is not configured; the nearest is {nearest}" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"datasets": ["digits"], "train": 10**6, "test": 5}, "train: 1000000 images, but train of digits have"),
        ({"datasets": ["digits"], "depth": 9, "train": 20, "test": 5}, "take images of 19 px at least"),
        ({"task": "framed", "datasets": ["digits"], "frame": 5, "train": 20, "test": 5}, "frame: 5 px, but the images"),
    ],
)
def test_what_only_the_images_show_is_one_line_too(clone, section, line):
    clone.configure(kernels={"a": section | {"machines": ["cntk"]}})
    done = clone.snakemake("kernels", check=False)
    assert done.returncode != 0
    assert line in done.stdout
    assert "Traceback" not in done.stdout
