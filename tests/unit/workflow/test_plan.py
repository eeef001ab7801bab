"""What a plan asks for besides its cases."""

from hashlib import sha256
from itertools import product
from types import SimpleNamespace

import pytest
import yaml

from ansatz.workflow.configuration.loading import load
from ansatz.workflow.plan import Plan
from ansatz.workflow.sources import SourceInputs
from configurations import STUDY, configuration
from real_data import ROOT


def megabytes(**changes):
    """Return the main memory that a training and an extraction may take."""
    plan = Plan(load(configuration(**changes)), "results/test")
    training = SimpleNamespace(training="initialization/runs/digits/nfm/seed0")
    extraction = SimpleNamespace(extraction="sources/mine/features")
    return plan.megabytes_of(plan.trainings)(training), plan.megabytes_of(plan.extractions)(extraction)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (8191, 8148)),  # 2 GiB, 16 images of 32 x 32 pixels at 2.6 kB, 6 GB
        ({"memory": 0.5}, (7043, 7000)),
        ({"memory": 10, "device": "auto"}, (26043, 26000)),
        ({"memory": 10, "device": "cuda:1"}, (6000, 6000)),
        (
            {"initialization": STUDY | {"network": {"image_size": 224}, "training": {"batch_size": 40}}},
            (13366, 8148),
        ),
    ],
)
def test_jobs_request_memory_for_what_the_configuration_lets_them_take(changes, expected):
    assert megabytes(**changes) == expected


def planned(**changes):
    """Return the plan of a study with two seeds that draws from a source trained on the same images."""
    study = STUDY | {"seeds": [3, 4], "split": "run", "source_seed": "run"} | changes
    return Plan(load(configuration(initialization=study)), "results/test")


def test_the_source_of_a_seed_never_sees_the_validation_images_of_that_seed():
    """Run, source and extraction divide the images alike, and only the run reads more than the training images."""
    plan = planned()
    for seed in (3, 4):
        run = plan.trainings[f"initialization/runs/digits/nfm/seed{seed}"]
        source = plan.trainings[f"sources/mine/seed{seed}"]
        extraction = plan.extractions[f"sources/mine/seed{seed}/features"]
        assert run.split == source.split == extraction.split == {"seed": seed}
        assert source.parts == ["train"]
        assert run.features_file == f"results/test/{extraction.place}.h5"
        assert extraction.weights == f"results/test/{source.place}/weights.pt"
    assert len({plan.trainings[f"sources/mine/seed{seed}"].seed for seed in (3, 4)} - {3, 4}) == 2


def test_sources_and_splits_may_be_shared():
    plan = planned(source_seed="shared", split="shared")
    runs = [plan.trainings[f"initialization/runs/digits/nfm/seed{seed}"] for seed in (3, 4)]
    assert {run.features_file for run in runs} == {"results/test/sources/mine/features.h5"}
    assert [run.split for run in runs] == [{"seed": None}] * 2
    assert "sources/mine/seed3" not in plan.trainings


def test_tuning_has_sources_of_its_own_seeds():
    training = {"epochs": 2, "batch_size": 16}
    plan = planned(tuning={"learning_rates": [0.1], "seeds": [9]}, training=training)
    tried = plan.trainings["initialization/tuning/digits/nfm/0.1/seed9"]
    assert tried.features_file == "results/test/sources/mine/seed9/features.h5"
    assert tried.split == {"seed": 9}
    assert tried.parts == ["train", "validation"]


def test_a_chain_of_sources_stays_with_one_seed():
    first = {"train": {"dataset": "digits", "training": {"batch_size": 16}}}
    second = {"train": first["train"] | {"initializer": "nfm@first"}}
    study = STUDY | {"initializers": ["nfm@second"], "split": "run", "source_seed": "run"}
    plan = Plan(load(configuration(sources={"first": first, "second": second}, initialization=study)), "results/test")
    run = plan.trainings["initialization/runs/digits/nfm@second/seed0"]
    source = plan.trainings["sources/second/seed0"]
    assert run.features_file == "results/test/sources/second/seed0/features.h5"
    assert source.features_file == "results/test/sources/first/seed0/features.h5"
    needed = set(plan.needed_trainings)
    assert {"sources/second/seed0", "sources/first/seed0"} <= needed
    assert not needed & {"sources/second", "sources/first"}, "nothing draws from the shared ones"


def test_a_network_before_training_is_a_source_for_each_seed():
    study = STUDY | {"seeds": [3, 4], "split": "run", "source_seed": "run"}
    plan = Plan(load(configuration(sources={"mine": {"initial": {"seed": 5}}}, initialization=study)), "results/test")
    run, extraction = (
        plan.trainings["initialization/runs/digits/nfm/seed4"],
        plan.extractions["sources/mine/seed4/features"],
    )
    assert run.features_file == f"results/test/{extraction.place}.h5"
    assert (extraction.weights, extraction.dataset, extraction.network) == (None, None, run.network)
    assert extraction.initializer["name"] == "kaiming_normal"
    seeds = [plan.extractions[f"sources/mine{own}/features"].seed for own in ("", "/seed3", "/seed4")]
    assert seeds == [5, 10**9 + 5 * 10**6 + 3, 10**9 + 5 * 10**6 + 4]


def test_a_network_before_training_has_seen_no_dataset():
    sources = {"mine": {"initial": {"dataset": "digits"}}, "other": {"initial": {"seed": 1}}}
    study = STUDY | {"initializers": ["nfm@*"], "split": "run", "source_seed": "run"}
    plan = Plan(load(configuration(sources=sources, initialization=study)), "results/test")
    assert [each["seen"] for each in SourceInputs(plan).transfer.values()] == [None, None]


def test_sources_with_other_seeds_never_start_alike():
    train = {"dataset": "digits", "training": {"batch_size": 16}}
    sources = {"first": {"train": train}, "second": {"train": train | {"seed": 1}}}
    study = STUDY | {"initializers": ["nfm@*"], "seeds": [0, 1, 2], "split": "run", "source_seed": "run"}
    plan = Plan(load(configuration(sources=sources, initialization=study)), "results/test")
    seeds = [plan.trainings[f"sources/{name}/seed{seed}"].seed for name in sources for seed in (0, 1, 2)]
    assert len(set(seeds)) == 6


def test_layers_are_matched_for_each_source():
    train = {"train": {"dataset": "digits", "training": {"batch_size": 16}}}
    study = STUDY | {"initializers": ["nfm@a", "nfm@b"], "layers": {"b": {"features.0": "features.0"}}}
    plan = Plan(load(configuration(sources={"a": train, "b": train}, initialization=study)), "results/test")
    layers = {
        source: plan.trainings[f"initialization/runs/digits/nfm@{source}/seed0"].initializer["covariance"]["layers"]
        for source in ("a", "b")
    }
    assert layers == {"a": {}, "b": {"features.0": "features.0"}}


def test_layers_are_matched_for_the_network_of_the_study_alone():
    first = {"initial": {}}
    other = {"name": "cnn", "depth": 1, "image_size": 32}
    second = {"train": {"dataset": "digits", "initializer": "nfm@first", "network": other}}
    study = STUDY | {"initializers": ["nfm@first"], "layers": {"first": {"features.0": "features.0"}}}
    plan = Plan(load(configuration(sources={"first": first, "second": second}, initialization=study)), "results/test")
    assert plan.trainings["sources/second"].initializer["covariance"]["layers"] == {}


def test_another_checksum_of_weights_is_another_extraction(tmp_path):
    (tmp_path / "own.pt").write_bytes(b"weights")
    own = {"checkpoint": {"path": str(tmp_path / "own.pt"), "sha256": sha256(b"weights").hexdigest()}}
    plan = Plan(load(configuration(sources={"mine": own})), "results/test")
    assert plan.extractions["sources/mine/features"].checksum == {"sha256": own["checkpoint"]["sha256"]}


def test_initializers_that_draw_from_several_sources_are_known_by_kind_and_source():
    train = {"train": {"dataset": "digits", "training": {"batch_size": 16}}}
    imagenet = {"torchvision": {"weights": "VGG11_Weights.IMAGENET1K_V1"}}  # alone, without images
    study = STUDY | {"initializers": ["kaiming_uniform", "nfm@*+lsuv", "agop@*", "kaiming_nfm@mine"]}
    sources = {"mine": train, "imagenet": imagenet}
    plan = Plan(load(configuration(sources=sources, initialization=study), thorough=False), "results/test")
    assert SourceInputs(plan).transfer == {
        "nfm@mine+lsuv": {"kind": "nfm+lsuv", "source": "mine", "seen": "digits"},
        "nfm@imagenet+lsuv": {"kind": "nfm+lsuv", "source": "imagenet", "seen": None},
    }
    assert SourceInputs(planned()).transfer == {}


def test_the_study_of_transfer_has_as_many_trainings_as_it_says():
    file = ROOT / "config/transfer.yaml"
    plan = Plan(load(yaml.safe_load(file.read_text()), thorough=False), "results/transfer")
    runs, own_sources = plan.trainings.below("initialization/runs"), [p for p in plan.trainings if "/seed" in p]
    assert (
        f"{len(runs)} small trainings of the study and {len(own_sources) - len(runs)} of its sources"
        in file.read_text()
    )
    datasets, transfer = list(plan.configuration.datasets), SourceInputs(plan).transfer.values()
    sources = ["random", *datasets, "imagenet"]
    assert [(each["kind"], each["source"]) for each in transfer] == list(product(("kaiming_nfm", "nfm+lsuv"), sources))
    assert all(each["seen"] == (each["source"] if each["source"] in datasets else None) for each in transfer)


def test_the_released_protocol_sets_head_scale_and_extraction():
    plan = planned(protocol="released")
    run, extraction = plan.trainings["initialization/runs/digits/nfm/seed3"], plan.extractions["sources/mine/features"]
    assert run.head == {"outputs": 1000, "std": 0.01}
    assert run.initializer["covariance"]["scaling"] == "released"
    assert extraction.estimator == {
        "sample_size": 11,
        "probes": None,
        "positions": "sum",
        "precision": "float32",
        "outputs": 10,
        "reduction": "sum",
    }
    ours = planned()
    assert ours.trainings["initialization/runs/digits/nfm/seed3"].head is None
    assert ours.extractions["sources/mine/features"].estimator["sample_size"] == 8
