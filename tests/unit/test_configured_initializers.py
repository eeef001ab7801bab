"""Initializers in the configuration: how they are written, what they need, and what is refused."""

import jsonschema
import pytest

from ansatz import registry
from ansatz.workflow.configuration.documentation import json_schema
from ansatz.workflow.configuration.loading import load
from ansatz.workflow.plan import Plan
from configurations import CHECKPOINT, TRAIN, configuration, evolution, kernels, refusal, study

CONVOLUTIONS = {"checkpoint": {"path": CHECKPOINT["checkpoint"]["path"]}}  # without images, and so without an AGOP
SEVERAL = {"sources": {"a": TRAIN, "own": CHECKPOINT, "bare": CONVOLUTIONS}}
FIRST = "config.initialization.initializers.0: "
MISTAKES = {
    "unknown scale": (
        study(initializers=["nfm+lsvu"]),
        f"{FIRST}'nfm+lsvu' does not fit; only lsuv follows +, and nothing follows it: nfm@imagenet+lsuv",
    ),
    "scale before the source": (study(initializers=["nfm+lsuv@mine"]), f"{FIRST}'nfm+lsuv@mine' does not fit; only"),
    "scale of what scales": (
        study(initializers=["lsuv+lsuv"]),
        f"{FIRST}'lsuv+lsuv' does not fit; lsuv gives outputs variance 1 already",
    ),
    "scale without a name": (study(initializers=["nfm+"]), f"{FIRST}'nfm+' does not fit; only lsuv follows +"),
    "scale of an unknown initializer": (study(initializers=["nmf+lsuv"]), f"{FIRST}'nmf' is none of "),
    "scale of a machine": (kernels(machines=["cntk+lsuv"]), "'cntk+lsuv' is none of "),
    "scale listed twice": (
        study(initializers=["nfm+lsuv", {"nfm+lsuv": {}}]),
        "config.initialization.initializers: nfm+lsuv is listed twice",
    ),
    "scale with several sources": (
        {"sources": {"a": TRAIN, "b": TRAIN}} | study(initializers=["nfm+lsuv"]),
        f"{FIRST}'nfm+lsuv' may draw from several sources; write nfm@a+lsuv or nfm@b+lsuv",
    ),
    "initial weights that are unknown": (
        {"sources": {"own": CHECKPOINT}} | study(initializers=["nfm_centred"]),
        f"{FIRST}'nfm_centred' subtracts the initial weights of its source, but those of own are unknown; use ",
    ),
    "initial weights of another source": (
        {"sources": {"mine": TRAIN, "own": CHECKPOINT}} | study(initializers=["nfm_centred@own+lsuv"]),
        f"{FIRST}'nfm_centred@own+lsuv' subtracts the initial weights of its source, but those of own are unknown",
    ),
    "every source of what draws from none": (
        SEVERAL | study(initializers=["normal@*"]),
        f"{FIRST}'normal@*' does not fit; normal draws from no feature matrices, and so from no source",
    ),
    "more than every source": (SEVERAL | study(initializers=["nfm@**"]), f"{FIRST}'nfm@**': the source '**' is none"),
    "every source where there is none": (
        {"sources": {}} | study(initializers=["nfm@*"]),
        f"{FIRST}'nfm@*' has nothing to draw from; no source has an NFM",
    ),
    "every source without images": (
        {"sources": {"bare": CONVOLUTIONS}} | study(initializers=[{"agop@*": {}}]),
        f"{FIRST}'agop@*' has nothing to draw from; no source has an AGOP, which takes a dataset",
    ),
    "every source without initial weights": (
        {"sources": {"own": CHECKPOINT}} | study(initializers=["nfm_centred@*+lsuv"]),
        f"{FIRST}'nfm_centred@*+lsuv' has nothing to draw from; no source has known initial weights, as the kind train",
    ),
    "every source and one of them": (
        SEVERAL | study(initializers=["nfm@*", "nfm@own"]),
        "config.initialization.initializers: nfm@own is listed twice",
    ),
    "every source twice": (
        SEVERAL | study(initializers=["nfm@*", {"nfm@*": {}}]),
        "config.initialization.initializers: nfm@a is listed twice",
    ),
    "every source for the baseline": (
        SEVERAL | study(initializers=["nfm@*"], baseline="nfm@*"),
        "config.initialization.baseline: 'nfm@*' is none of nfm@a, nfm@own, nfm@bare",
    ),
    "every source for a source": (
        {"sources": {"a": TRAIN, "b": {"train": TRAIN["train"] | {"initializer": "nfm@*"}}}},
        "config.sources.b.train.initializer: 'nfm@*' is one initializer for each source; name one of a, b after @",
    ),
    "every source for one network": (
        evolution(initializer="nfm@*"),
        "config.evolution.a.initializer: 'nfm@*' is one initializer for each source; name one of mine after @",
    ),
    "a mistake behind every source": (
        SEVERAL | study(initializers=["nfm@*", "nmf"]),
        "config.initialization.initializers.1: 'nmf' is none of ",
    ),
    "every source of sources with a mistake": (
        {"sources": {"a": 3}} | study(initializers=["nfm@*"]),
        "config.sources.a: 3 is not a mapping of keys to values",
    ),
}


@pytest.fixture(autouse=True)
def checkpoint(tmp_path, monkeypatch):
    """Lay the file of the source `CHECKPOINT` where configurations are read."""
    (tmp_path / CHECKPOINT["checkpoint"]["path"]).touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_in_one_line(changes, message):
    assert message in refusal(configuration(**changes))


def runs_of(*choices):
    """Return the configuration and the trainings of its study."""
    loaded = load(configuration(**study(initializers=list(choices))))
    return loaded, [run for run in Plan(loaded, "results/test").trainings.values() if "initializer" in run.run]


def test_any_initializer_can_be_scaled_with_one_spelling_in_labels():
    choices = ["kaiming_normal+lsuv", "nfm@mine+lsuv", {"normal+lsuv": {"std": 0.1}}]
    loaded, runs = runs_of(*choices)
    chosen = loaded.initialization.initializers
    assert [choice.label for choice in chosen] == ["kaiming_normal+lsuv", "nfm@mine+lsuv", "normal+lsuv_std-0.1"]
    assert [loaded.source_of(choice) for choice in chosen] == [None, "mine", None]
    assert loaded.as_configured()["initialization"]["initializers"] == choices
    assert [run.initializer["name"] for run in runs] == ["kaiming_normal", "nfm", "normal"]
    assert all(run.initializer["unit_variance"] for run in runs)
    assert runs[1].definitions == runs_of("nfm")[1][0].definitions


def test_an_initializer_of_every_source_is_one_for_each_that_has_what_it_needs():
    """In the order of the sources, and as if they had been written so."""
    written = ["normal", "kaiming_nfm@*", "agop@*+lsuv", {"nfm_centred@*": {}}]
    concrete = ["normal", *(f"kaiming_nfm@{name}" for name in SEVERAL["sources"])]
    concrete += ["agop@a+lsuv", "agop@own+lsuv", "nfm_centred@a"]
    loaded = load(configuration(**SEVERAL, **study(initializers=written)))
    assert loaded == load(configuration(**SEVERAL, **study(initializers=concrete)))
    assert loaded.as_configured()["initialization"]["initializers"] == concrete
    overrides = {"initializers": ["nfm@*"], "baseline": "nfm@own"}
    overridden = load(configuration(**SEVERAL), overrides=overrides).initialization
    assert [choice.label for choice in overridden.initializers] == ["nfm@a", "nfm@own", "nfm@bare"]


def test_options_stay_with_an_initializer_of_every_source(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_PLUGINS", [])
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from ansatz.registry import initializer\n@initializer(needs='nfm')\n"
        "def mixed(weight, generator, covariance, *, share: float = 0.5):\n    'Mixed.'\n"
    )
    loaded = load(configuration(**SEVERAL, plugins=[str(plugin)], **study(initializers=[{"mixed@*": {"share": 1}}])))
    choices = loaded.initialization.initializers
    assert [choice.label for choice in choices] == ["mixed@a_share-1", "mixed@own_share-1", "mixed@bare_share-1"]
    assert [choice.options for choice in choices] == [{"share": 1}] * 3


def test_editors_know_what_follows_a_name():
    schema = jsonschema.Draft202012Validator(json_schema())
    for choice, fits in [
        ("nfm+lsuv", True),
        ("nfm@mine+lsuv", True),
        ({"normal+lsuv": {"std": 0.1}}, True),
        ({"nfm@mine+lsuv": {}}, True),
        ("nfm@*", True),
        ({"nfm@*+lsuv": {}}, True),
        ("normal@*", False),
        ("nfm@mine*", False),
        ("nfm+lsvu", False),
        ("normal@mine+lsuv", False),
    ]:
        assert schema.is_valid(configuration(**study(initializers=[choice]))) == fits, choice


def test_initial_weights_are_known_of_a_source_that_is_trained_here():
    """Its extraction starts from what its training starts from; that of other sources does not."""
    trained = {"train": {"dataset": "digits", "initializer": "nfm@own", "seed": 7, "training": {"batch_size": 16}}}
    sources = {"mine": trained, "own": CHECKPOINT}
    plan = Plan(load(configuration(sources=sources, **study(initializers=["nfm_centred@mine"]))), "results/test")
    training, extraction = plan.trainings["sources/mine"], plan.extractions["sources/mine/features"]
    for key in ("initializer", "features", "seed", "network", "images"):
        assert getattr(extraction, key) == getattr(training, key)
    assert plan.extractions["sources/own/features"].initializer["name"] is None
