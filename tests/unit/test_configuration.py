"""The configuration: what is loaded, completed, generated and recorded. Its mistakes are in the file beside."""

import re
import subprocess
import sys
from contextlib import suppress
from typing import get_type_hints

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torchvision import models

from ansatz import registry
from ansatz.errors import UserError
from ansatz.training.config import Augmentation, TrainingConfig
from ansatz.workflow.configuration.__main__ import contents
from ansatz.workflow.configuration.checks.datasets import training_images
from ansatz.workflow.configuration.documentation import json_schema
from ansatz.workflow.configuration.loading import load
from ansatz.workflow.configuration.record import check_record, write_record
from ansatz.workflow.configuration.tables import tables
from ansatz.workflow.configuration.torchvision_names import network_names
from ansatz.workflow.configuration.training import AugmentSection, TrainingSection
from configurations import TRAIN, configuration, evolution, kernels, refusal, study, training
from real_data import ROOT

FILES = sorted((ROOT / "config").glob("*.yaml"))
PLUGIN = '''
from typing import Annotated, Literal
from annotated_types import Gt, Interval
from ansatz.registry import dataset, initializer, kernel, machine, metric, network, task

@initializer
def spiky(weight, generator, *, slope: Annotated[float, Gt(0)] = 1, kind: Literal["up", "down"] = "up"):
    """Spikes."""

@network
def tower(classes, in_channels=3, width=1.0, *, storeys: int, roof: bool = True):
    """A tower."""

@dataset(images="100 + – + 20", classes=2, pixels="8")
def toys(folder):
    """Toys: dolls and balls."""

@kernel
def gaussian(*, gamma: Annotated[float, Gt(0)] = 1.0):
    """The Gaussian kernel."""

@task(of_dataset=False)
def spots(data, train, test, seed, *, count: Annotated[int, Interval(ge=1, le=9)], noise: float = 0.0):
    """Spots.

    Parameters
    ----------
    count : int
        Number of spots.
    """

@metric
def top5(logits, labels):
    """Top-5 accuracy."""
'''


@pytest.fixture(autouse=True)
def plugins(monkeypatch):
    """No test leaves plugins to the next."""
    monkeypatch.setattr(registry, "_PLUGINS", [])


@pytest.fixture
def plugin(tmp_path):
    """A file of the user's that registers one of each kind."""
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return str(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_our_files_are_valid_and_stay_the_same_when_written_and_read_again(path):
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=../workflow/schemas/config.schema.json\n")
    loaded = load(yaml.safe_load(text), thorough=False)
    assert loaded.name in (path.stem, "digits")
    again = load(yaml.safe_load(yaml.safe_dump(loaded.as_configured())), thorough=False)
    assert again.as_configured() == loaded.as_configured()


def test_the_default_has_all_sections_and_the_study_has_108_runs():
    default = load(yaml.safe_load((ROOT / "config/config.yaml").read_text()))
    assert default.sections == ["initialization", "ansatz", "evolution", "kernels"]
    published = load(yaml.safe_load((ROOT / "config/study.yaml").read_text()))
    assert published.sections == ["initialization"]
    runs = published.initialization
    assert len(runs.datasets) * len(runs.initializers) * len(runs.seeds) == 108


def test_what_is_left_out_has_a_default():
    loaded = load({"name": "a", "datasets": {"digits": None}, "initialization": None})
    assert loaded.initialization.datasets == ["digits"]
    assert loaded.initialization.seeds == [0, 1, 2]
    assert [str(choice) for choice in loaded.initialization.initializers][:2] == ["normal", "uniform"]
    assert loaded.initialization.network.builder == {"name": "vgg11", "width": 1.0, "in_channels": 3}
    assert loaded.threads == 1


@pytest.mark.parametrize(
    ("keys", "baseline"),
    [
        ({}, "kaiming_uniform"),
        ({"initializers": ["nfm", {"normal": {"std": 0.02}}]}, "nfm"),
        ({"initializers": ["nfm", {"normal": {"std": 0.02}}], "baseline": "normal_std-0.02"}, "normal_std-0.02"),
    ],
)
def test_the_baseline_is_one_of_those_compared(keys, baseline):
    assert load(configuration(**study(**keys))).initialization.baseline == baseline


def test_a_source_trains_the_network_of_the_study_unless_it_has_its_own():
    own = {"train": {"dataset": "digits", "network": {"name": "lenet5"}, "training": {"batch_size": 8}}}
    loaded = load(configuration(sources={"study": TRAIN, "own": own}, **study(initializers=["nfm@own", "agop@study"])))
    assert loaded.sources["study"].train.network == loaded.initialization.network
    assert loaded.sources["own"].train.network.name == "lenet5"
    assert [loaded.source_of(choice) for choice in loaded.initialization.initializers] == ["own", "study"]
    assert [choice.label for choice in loaded.initialization.initializers] == ["nfm@own", "agop@study"]


def test_a_plain_initializer_draws_from_no_source_and_nfm_from_the_only_one():
    loaded = load(configuration())
    assert [loaded.source_of(choice) for choice in loaded.initialization.initializers] == [None, "mine"]


def test_labels_have_the_options_that_are_given():
    choices = ["normal", {"normal": {"std": 0.02}}, {"normal": {"std": 1, "first_std": 0.5}}, {"uniform": None}]
    loaded = load(configuration(**study(initializers=choices)))
    labels = [choice.label for choice in loaded.initialization.initializers]
    assert labels == ["normal", "normal_std-0.02", "normal_std-1_first_std-0.5", "uniform"]


def test_networks_are_built_from_what_is_given():
    loaded = load(configuration(**evolution(network={"name": "cnn", "pooling": "max", "image_size": 64, "width": 1})))
    builder = {"name": "cnn", "width": 1.0, "in_channels": 3, "image_size": 64, "pooling": "max"}
    assert loaded.evolution["a"].network.builder == builder


def test_machines_have_their_own_options_before_shared_ones_before_defaults():
    machines = ["cntk", {"convrfm": {"depth": 2, "iterations": 5}}, "cnn"]
    loaded = load(configuration(**kernels(task="bars", noise=[2], machines=machines, depth=4, training={"epochs": 7})))
    experiment = loaded.kernels["a"]
    cntk, convrfm, cnn = map(experiment.machine_options, experiment.machines)
    assert [machine.label for machine in experiment.machines] == ["cntk", "convrfm_depth-2_iterations-5", "cnn"]
    assert (cntk["depth"], convrfm["depth"], convrfm["iterations"], cnn["depth"]) == (4, 2, 5, 4)
    assert "iterations" not in cntk
    assert cnn["training"]["epochs"] == 7
    assert cnn["training"]["optimizer"] == "adam"
    assert cnn["training"]["learning_rate"] == 0.0005
    assert experiment.task_options(2.0) == {"noise": 2.0}


def test_the_section_training_has_the_keys_types_and_defaults_of_the_library():
    """But for the precision, which is the same for all that is computed."""
    for model, of in ((TrainingSection, TrainingConfig), (AugmentSection, Augmentation)):
        hints = get_type_hints(of, include_extras=True)
        section = model.model_json_schema()["properties"]
        assert set(section) == set(hints) - {"precision"}
        for name in section.keys() - {"augment"}:
            key, library = section[name], TypeAdapter(hints[name]).json_schema()
            for ignored in ("title", "description", "default", "uniqueItems"):
                key.pop(ignored, None)
            if name == "metrics":  # whose names the registry knows
                library["items"] = key["items"]
            assert key == library, name
    assert TrainingConfig(**TrainingSection().model_dump()) == TrainingConfig(metrics=[])


def test_numbers_are_told_apart_by_meaning_not_by_notation():
    """10 and 10.0 rerun nothing where a number is meant."""
    whole, default = (
        load(configuration(**kernels(task="bars", machines=["cntk", "laplace"], **options))).kernels["a"]
        for options in ({"bandwidth": 10}, {})
    )
    options = whole.machine_options(whole.machines[1])
    assert options == default.machine_options(default.machines[1])
    assert isinstance(options["bandwidth"], float)


# ------------------------------------------------------------------------------------------------- plugins
def test_plugins_register_what_the_configuration_may_name(plugin):
    loaded = load(
        configuration(
            plugins=[plugin],
            datasets={"toys": None},
            sources=None,
            **study(
                initializers=["normal", {"spiky": {"slope": 2}}],
                network={"name": "tower", "storeys": 3},
                training={"metrics": ["top5"], "batch_size": 80},
            ),
            **kernels(
                task="spots",
                count=3,
                noise=[1],
                machines=["cntk", {"convrfm": {"kernel": "gaussian", "gamma": 2}}],
            ),
        )
    )
    experiment = loaded.kernels["a"]
    assert loaded.initialization.initializers[1].label == "spiky_slope-2"
    assert loaded.initialization.network.builder["storeys"] == 3
    assert experiment.machine_options(experiment.machines[1])["gamma"] == 2.0
    assert experiment.task_options(1.0) == {"count": 3, "noise": 1.0}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            study(initializers=[{"spiky": {"kind": "dwon"}}]),
            "spiky.kind: 'dwon' is none of up, down; did you mean 'down'?",
        ),
        (study(network={"name": "tower"}), "network: the key 'storeys' is missing"),
        (
            study(network={"name": "tower", "storeys": "3"}),
            "network.storeys: '3' is not a whole number; write 3 without",
        ),
        (
            kernels(task="spots"),
            "config.kernels.a: the key 'count' is missing, for which spots has no default; Number of",
        ),
        (kernels(task="spots", count=10), "config.kernels.a.count: 10 is too large; it must be at most 9"),
        (
            kernels(task="spots", count=1, machines=["cntk", {"convrfm": {"gamma": 2}}]),
            "config.kernels.a.machines.1.convrfm: unknown key 'gamma'",
        ),
        ({"datasets": {"toys": None}, **training(batch_size=81)}, "81 is more than the 80 training images of toys"),
        (training(metrics=["top6"]), "top5; did you mean 'top5'?"),
    ],
)
def test_options_of_plugins_are_checked_like_ours(plugin, changes, line):
    assert line in refusal(configuration(plugins=[plugin], **changes))


def test_a_plugin_that_is_broken_is_reported(tmp_path):
    (tmp_path / "broken.py").write_text("@initializer\ndef a(:\n")
    message = refusal(configuration(plugins=["broken.py"]), directory=tmp_path)
    assert message.startswith("config.plugins: ")
    assert "broken.py: cannot be read as Python" in message


HEAD = """
import math
from typing import Any, Mapping

from ansatz.machines.nothing import Absent
from ansatz.registry import initializer, initializer as init, machine, metric

"""


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (
            "@init\ndef a(weight, generator): ...",
            "plugins.0: 'mine.py' registers nothing; put @initializer, @network, ",
        ),
        ("@initializer(name='../a')\ndef a(weight, generator): ...", "initializer ../a: the name '../a' does not fit"),
        ("@initializer(name=str(3))\ndef a(weight, generator): ...", "initializer a: name= is not a literal or a con"),
        (
            "@initializer(needs='nmf')\ndef a(weight, generator, c): ...",
            "a: needs='nmf' does not fit; it takes nfm or agop or",
        ),
        (
            "@initializer(neds='nfm')\ndef a(weight, generator): ...",
            "has no keyword 'neds'; did you mean 'needs'?; it has",
        ),
        ("@initializer(scale='foo')\ndef a(weight, generator): ...", "scale='foo' does not fit; it takes unit or kaim"),
        (
            "K = {}\n@initializer(**K)\ndef a(weight, generator): ...",
            "initializer a: @initializer takes keywords, each wri",
        ),
        (
            "@initializer('nfm')\ndef a(weight, generator): ...",
            "initializer a: @initializer takes keywords, each written",
        ),
        ("def a(:", "mine.py: cannot be read as Python: "),
        ("@initializer\ndef a(weight, generator, *, b: float = math.pi): ...", "a: the default of b is not a literal"),
        ("@initializer\ndef a(weight, generator, *, b: float = 1 / 0): ...", "a: the default of b is not a literal"),
        ("@metric\ndef loss(logits, labels): ...", "metric loss: tables have other columns of that name"),
        ("@machine(without=3)\ndef a(): ...", "machine a: without=3 does not fit; it takes list or tuple"),
        ("@machine(options_of=Absent)\ndef a(): ...", "nothing.py is not there; import from its file"),
        ("@initializer\ndef a(weight, generator, *, b: float): ...", "initializers.0.a: the key 'b' is missing, for"),
    ],
)
def test_what_a_plugin_declares_wrongly_is_reported(tmp_path, source, line):
    (tmp_path / "mine.py").write_text(HEAD + source + "\n")
    changes = configuration(plugins=["mine.py"], **study(initializers=["a"]))
    assert line in refusal(changes, directory=tmp_path)


def test_options_are_in_the_declared_order(tmp_path):
    (tmp_path / "mine.py").write_text(f"{HEAD}@initializer\ndef a(weight, generator, *, b: int = 1, c: int = 2): ...\n")
    changes = study(initializers=[{"a": {"b": 3, "c": 4}}, {"a": {"c": 4, "b": 3}}])
    message = refusal(configuration(plugins=["mine.py"], **changes), directory=tmp_path)
    assert "config.initialization.initializers: a_b-3_c-4 is listed twice" in message


def test_labels_of_options_of_plugins_fit_into_paths(tmp_path):
    options = "b: Mapping[str, Any] = {}, c: 'Unknown' = 1, d: 3 = 3, e: str = ''"
    (tmp_path / "mine.py").write_text(f"{HEAD}@initializer\ndef a(weight, generator, *, {options}): ...\n")

    def changes(**options):
        return configuration(plugins=["mine.py"], **study(initializers=[{"a": options}]))

    settings = {"b": {"../x y": 1}, "c": 2, "d": 4, "e": "f/.."}
    loaded = load(changes(**settings), directory=tmp_path)
    assert loaded.initialization.initializers[0].label == "a_b-..-x-y-1_c-2_d-4_e-f-.."
    assert "initializers.0.a: the options are too long" in refusal(changes(e="x" * 300), directory=tmp_path)


# ------------------------------------------------------------------------------------------------- the command line
@pytest.mark.parametrize(
    ("overrides", "value"),
    [
        ({"threads": 2}, lambda loaded: loaded.threads == 2),
        ({"threads": "2"}, lambda loaded: loaded.threads == 2),
        ({"deterministic": "true"}, lambda loaded: loaded.deterministic is True),
        ({"memory": "null"}, lambda loaded: loaded.memory is None),
        ({"seeds": ["0", "7"]}, lambda loaded: loaded.initialization.seeds == loaded.evolution["a"].seeds == [0, 7]),
        ({"initialization": {"seeds": ["7"]}}, lambda loaded: loaded.initialization.seeds == [7]),
        ({"initialization": {"training": {"learning_rate": "1e-4"}}}, lambda loaded: training_of(loaded) == (2, 1e-4)),
        ({"training": {"epochs": "1"}}, lambda loaded: training_of(loaded) == (1, 0.01)),
        ({"initializers": ["normal"]}, lambda loaded: str(loaded.initialization.initializers[0]) == "normal"),
        ({"iterations": 1}, lambda loaded: loaded.kernels["a"].shared_options == {"iterations": 1}),
    ],
)
def test_the_command_line_changes_keys(overrides, value):
    config = configuration(**evolution(), **kernels(task="bars"))
    assert value(load(config, overrides=overrides))
    assert value(load(config | overrides if "initialization" not in overrides else config, overrides=overrides))
    assert config == configuration(**evolution(), **kernels(task="bars"))


def training_of(loaded):
    return loaded.initialization.training.epochs, loaded.initialization.training.learning_rate


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ({"sedes": ["0"]}, "config: unknown key 'sedes'; "),
        ({"steps": ["0"]}, "config: unknown key 'steps'; it belongs in evolution.<name>"),
        ({"iterations": 1}, "config: unknown key 'iterations'; it belongs in kernels.<name>"),
        ({"name": "3"}, "config.name: 3 is not text"),
    ],
)
def test_a_key_that_changes_nothing_is_refused_on_the_command_line_too(overrides, line):
    assert line in refusal(configuration(), overrides=overrides)


# ------------------------------------------------------------------------------------------------- sizes of datasets
@pytest.mark.parametrize(
    ("options", "count"), [({}, 80), ({"limit": 50}, 40), ({"limit": 1000}, 80), ({"folder": ".", "limit": 50}, 50)]
)
def test_the_size_of_a_dataset_is_known_where_it_or_a_limit_says_it(plugin, options, count):
    loaded = load(configuration(plugins=[plugin], datasets={"toys": options}, **training(batch_size=1)))
    assert training_images(loaded, "toys") == count


def test_the_size_of_a_users_images_shows_when_they_are_read():
    loaded = load(configuration(datasets={"mine": {"folder": "."}}))
    assert training_images(loaded, "mine") is None


# ------------------------------------------------------------------------------------------------- the record
def test_a_name_that_holds_results_of_another_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    for path in (mine, other):
        path.write_text("name: test")
    record = tmp_path / "results" / "test" / "config.yaml"
    check_record(record, [mine])  # nothing has been made yet
    loaded = load(configuration())
    write_record(record, loaded, [mine, other])
    assert record.read_text().startswith("# The results here were made from mine.yaml\nname: test\n")
    assert load(yaml.safe_load(record.read_text())).as_configured() == loaded.as_configured()
    check_record(record, [mine])
    with pytest.raises(
        UserError, match=re.escape("'test' already holds the results of mine.yaml, not of other.yaml; ")
    ):
        check_record(record, [other])
    mine.unlink()  # a file that was moved keeps its results
    check_record(record, [other])


# ------------------------------------------------------------------------------------------------- what is generated
def test_the_schema_and_the_tables_of_the_documentation_are_up_to_date():
    stale = [path.name for path, text in contents().items() if not path.exists() or path.read_text() != text]
    assert not stale, f"{' and '.join(stale)}: out of date; run `make schema`"


def test_editors_accept_our_files_and_refuse_mistakes():
    schema = jsonschema.Draft202012Validator(json_schema())
    schema.check_schema(schema.schema)
    for path in FILES:
        assert not list(schema.iter_errors(yaml.safe_load(path.read_text())))
    for changes in (
        training(learning_rte=0.1),
        study(initializers=["kaimng_normal"]),
        study(initializers=[{"normal": {"sdt": 0.1}}]),
        study(initializers=["normal@mine"]),
        study(network={"name": "vgg12"}),
        kernels(machines=["convrmf"]),
        kernels(task="bars", noize=[1]),
        {"datasets": {"a/b": None}},
    ):
        assert list(schema.iter_errors(configuration(**changes))), changes
    for accepted in (
        study(initializers=["nfm@mine", {"kaiming_agop@mine": {}}, {"normal": {"std": 0.1}}]),
        study(network={"name": "densenet121"}),
        study(network={"name": "timm/resnet50d"}),
    ):
        assert not list(schema.iter_errors(configuration(**accepted)))


def test_networks_of_torchvision_are_found_without_importing_it():
    assert set(network_names()) == set(models.list_models(module=models))


def test_a_network_of_torchvision_has_no_options():
    loaded = load(configuration(**study(network={"name": "densenet121", "image_size": 64})))
    assert loaded.initialization.network.builder == {"name": "densenet121", "width": 1.0, "in_channels": 3}


def test_every_key_has_a_meaning():
    rows = [line.split(" | ") for name in ("keys", "network", "training") for line in tables()[name].splitlines()]
    assert len(rows) > 80
    assert not [row[0] for row in rows if not row[-1].strip(" |")]


# ------------------------------------------------------------------------------------------------- anything
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANYTHING = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(PLAIN, inner, max_size=2))
PLACES = [(key,) for key in ("name", "plugins", "datasets", "sources", "pictures", "memory", "ansatz", "evolution")] + [
    ("initialization", key) for key in ("initializers", "seeds", "network", "training", "datasets", "layers")
]


@given(place=st.sampled_from(PLACES), value=ANYTHING)
def test_whatever_is_written_is_refused_in_one_line_or_accepted(place, value):
    config = configuration()
    inner = config if len(place) == 1 else config["initialization"] | {}
    inner[place[-1]] = value
    if len(place) == 2:
        config["initialization"] = inner
    with suppress(UserError):
        load(config, thorough=False)
        return
    refusal(config, thorough=False)


def test_loading_imports_neither_torch_nor_torchvision():
    """As the host on which Snakemake runs may have neither."""
    code = (
        "import sys, yaml; from ansatz.workflow.configuration.loading import load; "
        f"load(yaml.safe_load(open({str(ROOT / 'config/study.yaml')!r}))); "
        "sys.exit(' '.join({'torch', 'torchvision', 'numpy', 'h5py'} & {*sys.modules}) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "scripts")}, check=False)
    assert done.returncode == 0
