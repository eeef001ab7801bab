"""Which sources the study draws from, and how they follow each other."""

from ansatz.workflow.configuration.loading import load
from ansatz.workflow.plan import Plan
from ansatz.workflow.sources import SourceInputs
from configurations import STUDY, configuration


def sources(names, initializers, **changes):
    """Return the sources of a study; `names`: source -> the initializer that it starts from."""
    train = {"dataset": "digits", "training": {"batch_size": 16}}
    own = {name: {"train": train | {"initializer": initializer}} for name, initializer in names.items()}
    study = STUDY | {"initializers": initializers, "seeds": [7, 8]} | changes
    return SourceInputs(Plan(load(configuration(sources=own, initialization=study)), "results/test"))


FAMILY = {
    "grandchild": "nfm@child",
    "stranger": "normal",
    "root": "normal",
    "child": "nfm@root",
    "sibling": "kaiming_agop@root",
    "unused": "nfm@root",
}


def test_sources_are_those_drawn_from_and_those_they_start_from_in_configured_order():
    own = sources(FAMILY, ["nfm@grandchild", "agop@stranger", "normal"], split="run", source_seed="run")
    assert own == {
        name: f"results/test/sources/{name}/seed7/features.h5" for name in ("grandchild", "stranger", "root", "child")
    }
    assert list(own) == ["grandchild", "stranger", "root", "child"]


def test_shared_sources_have_no_seed():
    own = sources(FAMILY, ["nfm@stranger"], split="shared", source_seed="shared")
    assert own == {"stranger": "results/test/sources/stranger/features.h5"}


def test_chains_end_where_no_source_starts_and_have_two_sources_at_least():
    own = sources(FAMILY, ["nfm@grandchild", "nfm@sibling", "nfm@stranger"])
    assert own.chains == {"grandchild": ["root", "child", "grandchild"], "sibling": ["root", "sibling"]}
    assert sources(FAMILY, ["nfm@root", "nfm@stranger"]).chains == {}


def test_initializers_that_draw_are_told_with_their_source():
    own = sources(FAMILY, ["normal", {"nfm@root+lsuv": {}}, "nfm@child"])
    assert own.drawing == [
        {"initializer": "nfm@root+lsuv", "kind": "nfm+lsuv", "source": "root"},
        {"initializer": "nfm@child", "kind": "nfm", "source": "child"},
    ]
    single = sources({"root": "normal"}, ["nfm", "normal"])
    assert single.drawing == [{"initializer": "nfm", "kind": "nfm", "source": "root"}]


def test_convolutions_alone_are_the_same_for_every_seed():
    own = {"torchvision": {"weights": "VGG11_Weights.IMAGENET1K_V1"}}
    study = STUDY | {"initializers": ["nfm"], "split": "run", "source_seed": "run"}
    plan = Plan(load(configuration(sources={"own": own}, initialization=study), thorough=False), "results/test")
    assert SourceInputs(plan) == {"own": "results/test/sources/own/features.h5"}


def test_without_a_study_or_a_source_there_is_nothing():
    evolution = {"a": {"datasets": ["digits"], "network": {"name": "lenet5", "in_channels": 1}}}
    for changes in (
        {"initialization": None, "sources": None, "evolution": evolution},
        {"initialization": STUDY | {"initializers": ["normal"]}},
    ):
        own = SourceInputs(Plan(load(configuration(**changes)), "results/test"))
        assert (own, own.chains, own.drawing) == ({}, {}, [])
