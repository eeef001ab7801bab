"""The network that kernel machines are compared with, and the registry that makes them all."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import check_estimator

from ansatz import machines
from ansatz.errors import UserError
from ansatz.machines import MACHINES, ConvNet, learnt, scores
from ansatz.rfm import ConvRFM, DeepConvRFM
from ansatz.training import Protocol

pytestmark = pytest.mark.usefixtures("one_thread")

PROTOCOL = Protocol(optimizer="adam", learning_rate=5e-3, weight_decay=0, epochs=5, batch_size=16)
OPTIONS = {"depth": 2, "patch_size": 3, "iterations": 1, "width": 6, "centres": None, "bandwidth": 3.0, "layers": 2}


def small(**changes):
    return ConvNet(**{"depth": 2, "width": 8, "protocol": PROTOCOL, "random_state": 0} | changes)


@pytest.fixture(scope="module")
def stripes():
    """Images of which the class is whether a row or a column is bright."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 0.3, (120, 1, 7, 7)).astype(np.float32), np.arange(120) % 2
    x[y == 0, 0, 3] += 1
    x[y == 1, 0, :, 3] += 1
    return x, y


def test_it_learns(stripes):
    x, y = stripes
    assert small().fit(x[:80], y[:80]).score(x[80:], y[80:]) > 0.9


def test_the_same_random_state_gives_the_same_bits(stripes):
    first, again, other = (small(random_state=seed).fit(*stripes).decision_function(stripes[0]) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_it_is_an_estimator_of_scikit_learn():
    check_estimator(ConvNet(depth=1, patch_size=1, width=32, protocol=PROTOCOL))


@pytest.mark.parametrize(("compile", "expected"), [("auto", False), (True, True), (False, False)])
def test_it_is_compiled_where_that_is_asked_for(stripes, monkeypatch, compile, expected):
    x, y = stripes
    asked, train = [], machines.train

    def watched(network, parts, protocol, **options):
        asked.append(protocol.compile)
        return train(network, parts, replace(protocol, compile=False), **options)

    monkeypatch.setattr(machines, "train", watched)
    ConvNet(depth=1, width=2, protocol=Protocol(epochs=1, compile=compile)).fit(x, y)
    assert asked == [expected, expected]


def test_its_features_are_of_what_training_added_to_the_filters(stripes):
    machine = small().fit(*stripes)
    network, matrices = machine.features()
    assert network is machine.network_
    assert list(matrices) == ["0", "2"]
    for layer, matrix in matrices.items():
        after, before = (one.get_submodule(layer).weight for one in (machine.network_, machine.initial_))
        gained = (after - before).detach().double().flatten(1)  # (filters, patch)
        np.testing.assert_allclose(matrix.dense()[0], gained.T @ gained, rtol=1e-5, atol=1e-9)
        assert gained.abs().max() > 0


def test_padding_is_the_first_layers(stripes):
    padding = [module.padding for module in small(padding=1).fit(*stripes).network_ if hasattr(module, "padding")]
    assert padding == [(1, 1), (0, 0)]


@pytest.mark.parametrize(
    ("name", "value"), [("depth", 0), ("patch_size", 2.5), ("padding", -1), ("width", None), ("device", "gpu")]
)
def test_a_parameter_out_of_range_is_refused_in_one_line_that_names_it(stripes, name, value):
    with pytest.raises(UserError, match=rf"^{name}: {value!r}") as caught:
        small(**{name: value}).fit(*stripes)
    assert "\n" not in str(caught.value)


def test_images_that_are_too_small_and_a_training_that_diverges_are_refused(stripes):
    with pytest.raises(
        UserError, match=r"^cnn: 4 convolutions of patch size 3 take images of 9 px at least, and these have 7x7$"
    ):
        small(depth=4).fit(*stripes)
    with pytest.raises(UserError, match=r"^cnn: diverged in epoch \d+; lower its learning_rate$"):
        small(protocol=Protocol(learning_rate=1e30, epochs=3)).fit(*stripes)


# ------------------------------------------------------------------------------------------------- the registry
@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("cntk", ConvRFM, {"kernel": "cntk", "iterations": 0, "depth": 2}),
        ("laplace", ConvRFM, {"kernel": "laplace", "iterations": 0, "bandwidth": 3.0}),
        ("convrfm", ConvRFM, {"kernel": "cntk", "iterations": 1}),
        ("convrfm_laplace", ConvRFM, {"kernel": "laplace", "iterations": 1}),
        ("deep_convrfm", DeepConvRFM, {"machine__kernel": "cntk", "machine__depth": 2, "width": 6, "layers": 2}),
        ("cnn", ConvNet, {"depth": 2, "width": 6}),
    ],
)
def test_a_machine_has_those_of_the_options_that_are_its_parameters(name, kind, expected):
    machine = MACHINES[name](OPTIONS | {"training": {"epochs": 3}})
    assert type(machine) is kind
    assert expected.items() <= machine.get_params().items()
    assert name != "cnn" or machine.protocol.epochs == 3


@pytest.mark.parametrize(("name", "layers"), [("cntk", [0]), ("convrfm", [1]), ("deep_convrfm", [1, 2]), ("cnn", [2])])
def test_a_machine_has_a_score_of_each_number_of_layers_that_learn_features(stripes, name, layers):
    x, y = stripes
    options = OPTIONS | {"training": {"epochs": 1, "batch_size": 16}, "random_state": 0}
    machine = MACHINES[name](options).fit(x[:60], y[:60])
    found = list(scores(machine, x[60:], y[60:]))
    assert [row["layers"] for row in found] == layers
    assert found[-1]["accuracy"] == machine.score(x[60:], y[60:])


@pytest.mark.parametrize("name", ["cntk", "convrfm", "deep_convrfm", "cnn"])
def test_what_a_machine_has_learnt_is_its_matrices_and_what_they_let_through(stripes, name):
    x, y = stripes
    options = OPTIONS | {"training": {"epochs": 1, "batch_size": 16}, "random_state": 0}
    found = learnt(MACHINES[name](options).fit(x, y), x[:2])
    expected = {"cntk": [], "convrfm": [9], "deep_convrfm": [9, 54], "cnn": [9, 54]}[name]
    assert [len(matrix) for matrix in found.matrices.values()] == expected
    assert [looks.shape[0] for looks in found.looks.values()] == [2] * len(expected)
    assert all(np.isfinite(looks).all() for looks in found.looks.values())


def test_networks_leave_the_global_random_state_alone(stripes):
    before = torch.get_rng_state()
    small().fit(*stripes)
    assert torch.equal(torch.get_rng_state(), before)
