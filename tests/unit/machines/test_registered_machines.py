"""Every registered machine passes the checks, at the edges of its options too; wrong machines do not."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch
from annotated_types import Gt

import ansatz.machines.convrfm
import gaussian
from ansatz import registry
from ansatz.errors import UserError
from ansatz.machines.convrfm import ConvRFM
from ansatz.machines.scores import learned_features, scores
from ansatz.registry import machine
from machine_checks import CHECKS, construct, crosses
from registered import edge_cases

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", registry.definitions("machine"))
def test_every_machine_passes_every_check(name, check):
    check(name)


@pytest.mark.parametrize(("name", "option", "value"), edge_cases("machine"))
def test_options_are_accepted_at_the_edges(name, option, value, monkeypatch):
    """Of images that are as large as the largest patches and networks need; nothing is compiled."""
    monkeypatch.setattr(ansatz.machines.convrfm, "compiled", lambda kernel: kernel)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((10, 1, 42, 42)).astype(np.float32), np.arange(10) % 2
    types = registry.find("machine", name).types
    smallest = {"depth": 1, "iterations": 1, "width": 2, "training": {"epochs": 1}}
    options = {key: smallest[key] for key in smallest if key in types} | {option: value}
    fitted = construct(name, **options).fit(x, y, x, y)
    assert np.isfinite(fitted.decision_function(x)).all()
    assert set(fitted.predict(x)) <= {0, 1}


def test_the_declared_beginning_of_a_machine_is_a_machine():
    definitions = registry.definitions("machine")
    assert [name for name, each in definitions.items() if each.declared.get("baseline")] == ["cntk"]
    for definition in definitions.values():
        assert definition.declared.get("starts_from") in (None, *definitions)
        assert definition.declared["title"]


def test_a_machine_that_starts_from_another_is_it_with_one_layer():
    x, y = crosses()
    for name, definition in registry.definitions("machine").items():
        if other := definition.declared.get("starts_from"):
            first = next(construct(name).fit(x, y).staged_predict(x))
            assert np.array_equal(first, construct(other).fit(x, y).predict(x))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("cntk", {"depth": 4}, {"kernel": "cntk", "iterations": 0, "depth": 4, "kernel_options": None}),
        ("nngp", {"centres": 7}, {"kernel": "nngp", "iterations": 0, "centres": 7}),
        ("laplace", {"bandwidth": 3.0}, {"kernel": "laplace", "iterations": 0, "kernel_options": {"bandwidth": 3.0}}),
        ("convrfm", {"iterations": 1}, {"kernel": "cntk", "iterations": 1}),
        ("convrfm", {"kernel": "laplace", "bandwidth": 3.0}, {"kernel_options": {"bandwidth": 3.0}}),
        ("convrfm_laplace", {"power": 2.0}, {"kernel": "laplace", "power": 2.0, "kernel_options": None}),
        ("deep_convrfm", {"depth": 2, "width": 6}, {"machine__kernel": "cntk", "machine__depth": 2, "width": 6}),
        ("cnn", {"depth": 2, "width": 6, "training": {"epochs": 3}}, {"depth": 2, "width": 6}),
    ],
)
def test_a_machine_has_its_options(name, options, expected):
    fitted = registry.find("machine", name).object(**options)
    assert expected.items() <= fitted.get_params().items()
    if name == "cnn":
        assert (fitted.training.epochs, fitted.training.learning_rate) == (3, 5e-4)


@pytest.mark.parametrize(
    ("name", "layers", "sizes"),
    [("cntk", [0], []), ("convrfm", [1], [9]), ("deep_convrfm", [1, 2], [9, 72]), ("cnn", [2], [9, 72])],
)
def test_a_machine_has_a_score_of_each_number_of_layers_that_learn_features(name, layers, sizes):
    x, y = crosses()
    fitted = construct(name).fit(x, y)
    assert [row["layers"] for row in scores(fitted, x, y)] == layers
    assert [len(matrix) for matrix in learned_features(fitted, x[:2]).matrices.values()] == sizes


# ------------------------------------------------------------------------------------------------- kernels of one's own
@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A kernel that has an option of its own, in a file outside the library."""
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))
    monkeypatch.setattr(registry, "_PLUGINS", [])
    file = tmp_path / "my_kernel.py"
    source = Path(gaussian.__file__).read_text()
    source = source.replace(
        "from annotated_types import Gt\n", "from annotated_types import Gt\nfrom ansatz import registry\n"
    )
    file.write_text(source.replace("@dataclass", "@registry.kernel\n@dataclass"))
    registry.use([file])
    return file


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("name", ["convrfm", "deep_convrfm"])
def test_a_kernel_of_ones_own_brings_its_options_to_machines(name):
    definition = registry.define("machine", name)
    assert "gamma" not in registry.options_of(definition)
    option = registry.options_of(definition, {"kernel": "gaussian"})["gamma"]
    assert (option.type, option.default) == (Annotated[float, Gt(0)], 0.1)
    x, y = crosses()
    fitted = construct(name, kernel="gaussian", gamma=0.02).fit(x, y)
    assert fitted.score(x, y) > 0.8
    last = fitted.machines_[-1] if name == "deep_convrfm" else fitted
    assert last.regression_.kernel.gamma == 0.02
    with pytest.raises(UserError, match=r"^gamma: 0\.0 is not allowed; use a number above 0$"):
        construct(name, kernel="gaussian", gamma=0.0).fit(x, y)
    with pytest.raises(UserError, match=r"^kernel_options: 'bandwidth' is no option of gaussian's own; .*: gamma$"):
        construct(name, kernel="gaussian", bandwidth=1.0).fit(x, y)


def test_the_kernel_of_a_machine_is_a_definition_too(plugin):
    definition = registry.define("machine", "convrfm")
    assert registry.kernel_of(definition).name == "cntk"
    assert registry.kernel_of(definition, {"kernel": "gaussian"}).file == plugin
    assert registry.kernel_of(registry.define("machine", "cnn")) is None
    with pytest.raises(UserError, match=r"^kernel: 'gausian' is none of .*; did you mean 'gaussian'\?$"):
        registry.kernel_of(definition, {"kernel": "gausian"})


# ------------------------------------------------------------------------------------------------- wrong machines
class Isotropic(ConvRFM):
    """Its matrices are the identity."""

    def _feature_matrix(self, agop, x):
        return super()._feature_matrix(torch.eye(len(agop), dtype=agop.dtype), x)


class Random(ConvRFM):
    """Its matrices have nothing to do with the AGOP."""

    def _feature_matrix(self, agop, x):
        a = torch.randn(len(agop), len(agop), generator=torch.Generator().manual_seed(0)).to(agop)
        return super()._feature_matrix(a @ a.mT, x)


class Shuffled(ConvRFM):
    def decision_function(self, *images):
        return np.random.default_rng().permutation(super().decision_function(*images))


class Numbers(ConvRFM):
    def predict(self, *images):
        return super().predict(*images) == self.classes_[1]


class Forgetful(ConvRFM):
    def fit(self, *images_and_labels):
        self.ridges = [0.5]
        return super().fit(*images_and_labels)


@pytest.fixture
def failing(monkeypatch):
    """Return the names of the checks that a machine does not pass."""
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))

    def failed(make, **declared):
        def mine(*, iterations=2, **options):
            return make(iterations=iterations, depth=2, dtype="float64", **options)

        machine(mine, **declared)
        names = set()
        for check in CHECKS:
            try:
                check("mine")
            except AssertionError:
                names.add(check.__name__)
        return names

    return failed


def test_a_right_machine_passes(failing):
    assert failing(ConvRFM, learns_features=True) == set()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (Isotropic, "learns_the_features_of_its_task"),
        (Random, "learns_the_features_of_its_task"),
        (Shuffled, "is_determined_by_its_random_state"),
        (Numbers, "takes_labels_of_any_kind"),
        (Forgetful, "can_be_cloned"),
    ],
)
def test_a_wrong_machine_fails_the_check_of_what_is_wrong(failing, wrong, expected):
    assert expected in failing(wrong, learns_features=True)


def test_a_machine_may_not_lie_about_features(failing):
    def plain(iterations, **options):
        return ConvRFM(iterations=0, **options)

    assert "learns_features_if_it_says_so" in failing(plain, learns_features=True)
    assert failing(plain, learns_features=False) == set()
    assert failing(ConvRFM, learns_features=False) == {"learns_features_if_it_says_so"}
