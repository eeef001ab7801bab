"""Only what changed runs again: shown by dry runs after a whole run of all four sections."""

import os
import shutil

import pandas as pd
import pytest
from PIL import Image

from ansatz.files.tables import read_csv
from real_data import ROOT

CURVES = {"draw_curves": 2}
COMPARISON = {"tabulate_initialization": 1, "tabulate_speed": 1, "draw_comparison": 2}
TABLES = {"gather_runs": 1} | COMPARISON | CURVES
MEASURED, ALL_MEASURED = (
    {"measure_activations": count, "gather_activations": 1, "draw_comparison": 3} for count in (1, 2)
)
DESCRIBED = {"describe_sources": 1, "draw_sources": 1, "match_layers": 1}
STUDY = {"train_source": 1, "extract_features": 1, "train": 2} | TABLES | MEASURED | DESCRIBED
PICTURES = {"draw_first_layer": 1, "draw_saliency": 2}
ALIGNMENT = {"compare_features": 3, "tabulate_ansatz": 1, "draw_ansatz": 3} | PICTURES
EVOLUTION = {"follow_training": 1, "tabulate_evolution": 1, "draw_evolution": 5}
MACHINES = {"run_machine": 2, "draw_learned": 1, "tabulate_machines": 1, "draw_machines": 3}
# Of each trained network, features are extracted before and after training; the source adds one extraction.
TRAINED = STUDY | {"train_network": 3, "extract_features": 4} | ALIGNMENT
ALL_TRAINED = STUDY | {"train_network": 3, "extract_features": 7} | ALIGNMENT | ALL_MEASURED


def edit(path):
    path.write_text(path.read_text() + "\n# edited\n")


def test_nothing_changed(complete):
    assert complete.planned(uncounted=()) == {}


def test_every_file_touched(complete):
    for path in complete.path.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
    assert complete.planned(uncounted=()) == {}


def test_the_tree_checked_out_afresh(complete):
    """Remove every file of the repository and put it back, as another clone into the same folder would."""
    for part in ("config", "envs", "profiles", "scripts", "workflow", "results/published"):
        own = (complete.path / "config" / "test.yaml").read_text() if part == "config" else None
        shutil.rmtree(complete.path / part)
        shutil.copytree(ROOT / part, complete.path / part, ignore=shutil.ignore_patterns("__pycache__"))
        if own:
            (complete.path / "config" / "test.yaml").write_text(own)
    for path in (complete.path / "scripts").rglob("*.py"):
        os.utime(path)
    assert complete.planned(uncounted=()) == {}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        # what scripts always reach
        ("draw_curves.py", CURVES),
        ("ansatz/reporting/figures/curves.py", CURVES),
        ("ansatz/reporting/figures/comparison.py", {"draw_comparison": 3}),
        ("ansatz/reporting/initialization.py", {"tabulate_initialization": 1, "draw_comparison": 3}),
        ("ansatz/reporting/speed.py", {"tabulate_speed": 1, "draw_comparison": 3}),
        ("ansatz/features/spectrum.py", {"describe_sources": 1, "draw_sources": 1}),
        ("ansatz/training/trainer.py", TRAINED | EVOLUTION),
        ("ansatz/initializers/initialize.py", ALL_TRAINED | EVOLUTION),
        ("ansatz/data/prepare.py", ALL_TRAINED | EVOLUTION | {"prepare_dataset": 1}),
        # what defines the names of some
        ("ansatz/initializers/from_features.py", {"train": 1} | TABLES | MEASURED),
        ("ansatz/initializers/classic.py", ALL_TRAINED),
        (
            "ansatz/networks/lenet.py",
            {"train_network": 1, "extract_features": 2} | ALIGNMENT | {"compare_features": 1} | EVOLUTION,
        ),
        ("ansatz/data/bundled.py", ALL_TRAINED | EVOLUTION | {"prepare_dataset": 1}),
        ("ansatz/machines/ridge.py", MACHINES),
        ("ansatz/machines/tasks.py", MACHINES),
    ],
)
def test_an_edit_reruns_what_reaches_the_file(complete, file, expected):
    edit(complete.path / "scripts" / file)
    assert complete.planned() == expected


def test_edits_of_what_defines_no_name_in_use_rerun_nothing(complete):
    for file in ("networks/simplenet.py", "data/arrays.py", "machines/convnet.py", "training/metrics.py"):
        edit(complete.path / "scripts/ansatz" / file)
    assert complete.planned() == {}


def test_a_new_seed_trains_only_itself(complete):
    complete.configure_all(initialization={"seeds": [0, 1]})
    assert complete.planned() == {"train": 2} | TABLES


def test_a_new_initializer_trains_only_itself(complete):
    complete.configure_all(initialization={"initializers": ["kaiming_uniform", "nfm", "kaiming_agop"]})
    assert complete.planned() == {"train": 1} | TABLES | MEASURED


def test_an_option_of_an_initializer_is_a_run_of_its_own(complete):
    initializers = ["kaiming_uniform", "nfm", {"normal": {"std": 0.02}}, {"normal": {"std": 0.04}}]
    complete.configure_all(initialization={"initializers": initializers})
    assert complete.planned() == {"train": 2} | TABLES | ALL_MEASURED


def test_a_new_dataset_trains_only_itself(complete):
    for path in ("images/a/0.png", "images/b/0.png"):
        (complete.path / path).parent.mkdir(parents=True)
        (complete.path / path).write_bytes(path.encode())
    complete.configure_all(datasets={"digits": {"limit": 60}, "mine": {"folder": "images"}})
    assert complete.planned() == {"prepare_dataset": 1, "train": 2} | TABLES | ALL_MEASURED


def test_another_split_trains_everything_again(complete):
    """Also what draws from no source: its seed was among the parameters before, as another one."""
    complete.configure_all(initialization={"split": "run", "source_seed": "run"})
    again = {"train_source": 1, "extract_features": 1, "train": 2} | TABLES | ALL_MEASURED | DESCRIBED
    assert complete.planned() == again


def test_another_learning_rate_extracts_nothing_again(complete):
    complete.configure_all(initialization={"training": {"learning_rate": 0.02}})
    assert complete.planned() == {"train": 2} | TABLES


def test_other_feature_matrices_retrain_only_who_draws_from_them(complete):
    complete.configure_all(feature_matrices={"sample_size": 9})
    again = {"extract_features": 7, "train": 1} | TABLES | MEASURED | DESCRIBED | ALIGNMENT | EVOLUTION
    assert complete.planned() == again


def test_another_style_draws_figures_and_the_page_again(complete):
    complete.configure_all(figures={"style": "paper"})
    drawn = CURVES | PICTURES | {"draw_comparison": 3, "draw_sources": 1, "draw_ansatz": 3, "draw_evolution": 5}
    drawn |= {"draw_learned": 1, "draw_machines": 3, "draw_page": 1}
    assert complete.planned(uncounted=("all",)) == drawn
    figures = "results/test/initialization/figures"
    complete.snakemake(f"{figures}/accuracy.pdf", "results/test/kernels/noise.pdf")
    assert (complete.path / figures / "accuracy.pdf").read_bytes().startswith(b"%PDF")
    assert abs(Image.open(complete.path / figures / "accuracy.png").width / 200 * 25.4 - 85) < 0.5


def test_a_chain_of_sources_waits_for_its_first(clone):
    """The second source starts from the features of the first; the study compares both."""
    training = {"epochs": 1, "batch_size": 16}
    first = {"dataset": "digits", "training": training}
    second = first | {"initializer": "kaiming_nfm@first"}
    study = {"initializers": ["nfm@first", "nfm@second"]}
    clone.configure(sources={"first": {"train": first}, "second": {"train": second}}, initialization=study)
    clone.snakemake()
    assert clone.planned() == {}
    generations = pd.read_csv(clone.results / "sources/generations_features.csv")
    assert generations.source.tolist() == ["first"] * 8 + ["second"] * 8
    assert generations.correlation_first.notna().tolist() == [False] * 8 + [True] * 8
    assert pd.read_csv(clone.results / "sources/generations_learned.csv").generation.tolist() == [1] * 3 + [2] * 3
    for figure in ("spectra", "alignment", "generations"):
        assert Image.open(clone.results / "sources/figures" / f"{figure}.png").width > 500
    gains = read_csv(clone.results / "initialization/transfer.csv")
    assert (list(gains.source), list(gains.same)) == (["first", "second"], [True, True])
    assert Image.open(clone.results / "initialization/figures/transfer.png").width > 500
    first = first | {"training": training | {"learning_rate": 0.002}}
    clone.configure(sources={"first": {"train": first}, "second": {"train": second}}, initialization=study)
    again = {"train_source": 2, "extract_features": 2, "train": 2} | TABLES | ALL_MEASURED
    again |= {"tabulate_transfer": 1, "draw_comparison": 4, "match_layers": 2}
    assert clone.planned() == again | {"describe_sources": 1, "tabulate_generations": 1, "draw_sources": 3}


def test_another_name_is_another_study(complete):
    complete.configure_all(name="other")
    assert complete.planned()["train"] == 2
    complete.configure_all()
    assert complete.planned() == {}


@pytest.mark.parametrize(
    ("lost", "made"),
    [
        ("initialization/runs/digits/nfm/seed0/summary.json", {"train": 1} | TABLES),
        ("initialization/runs/digits/nfm/seed0/metrics.csv", {"train": 1} | TABLES),
        ("initialization/tidy.csv", TABLES),
        ("kernels/bars/bars/noise1/cntk/seed0/scores.csv", MACHINES | {"run_machine": 1}),
    ],
)
def test_what_is_missing_is_made_again(complete, lost, made):
    (complete.results / lost).unlink()
    planned = complete.planned()
    assert planned == {rule: count for rule, count in made.items() if rule in planned}
    assert {"train", "run_machine", "gather_runs"} & set(planned)


def test_images_of_ones_own_are_watched(finished):
    for kind in ("a", "b"):
        (finished.path / "mine" / kind).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(finished.path / "mine" / kind / f"{i}.png")
    finished.configure(datasets={"mine": {"folder": "mine"}}, sources=None, initialization={"initializers": ["normal"]})
    finished.snakemake()
    for path in (finished.path / "mine").rglob("*"):
        os.utime(path)
    os.utime(finished.path / "mine")
    assert finished.planned() == {}
    swapped = [finished.path / "mine" / file for file in ("a/0.png", "b/3.png")]
    contents = [path.read_bytes() for path in swapped]
    for path, content in zip(swapped, reversed(contents), strict=True):
        path.write_bytes(content)
        os.utime(path, (1, 1))
    assert finished.planned() == {"prepare_dataset": 1, "train": 1} | TABLES | MEASURED
