"""The network with which kernel machines are compared."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import check_estimator

from ansatz.errors import UserError
from ansatz.machines import convnet
from ansatz.machines.convnet import ConvNet
from ansatz.training.config import TrainingConfig

pytestmark = pytest.mark.usefixtures("one_thread")

TRAINING = TrainingConfig(optimizer="adam", learning_rate=5e-3, weight_decay=0, epochs=5, batch_size=16)


def small(**changes):
    return ConvNet(**{"depth": 2, "width": 8, "training": TRAINING, "random_state": 0} | changes)


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
    check_estimator(ConvNet(depth=1, patch_size=1, width=32, training=TRAINING))


@pytest.mark.parametrize(("compile", "expected"), [("auto", False), (True, True), (False, False)])
def test_it_is_compiled_where_that_is_asked_for(stripes, monkeypatch, compile, expected):
    x, y = stripes
    asked, trainer = [], convnet.Trainer

    def watched(network, parts, training, **options):
        asked.append(training.compile)
        return trainer(network, parts, replace(training, compile=False), **options)

    monkeypatch.setattr(convnet, "Trainer", watched)
    ConvNet(depth=1, width=2, training=TrainingConfig(epochs=1, compile=compile)).fit(x, y)
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


def test_its_patience_is_of_held_out_images_and_its_schedule_of_the_whole_training(stripes, monkeypatch):
    trained, trainer = [], convnet.Trainer

    def watched(network, parts, training, **options):
        trained.append(trainer(network, parts, training, **options))
        return trained[-1]

    monkeypatch.setattr(convnet, "Trainer", watched)
    machine = small(training=replace(TRAINING, epochs=40, schedule="cosine", early_stopping=2)).fit(*stripes)
    first, refitted = (one.run.rows for one in trained)
    assert len(machine.history_) == len(first) < 40
    assert len(refitted) == len(first) - 2
    config, steps = trained[1].config, trained[1].steps_per_epoch
    assert [row["learning_rate"] for row in refitted] == [
        config.learning_rate_at((epoch + 1) * steps - 1, steps) for epoch in range(len(refitted))
    ]
    assert config.epochs == 40


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
        UserError, match=r"^cnn: 4 convolutions of patch size 3 require images of at least 9 px; these are 7x7$"
    ):
        small(depth=4).fit(*stripes)
    with pytest.raises(UserError, match=r"^cnn: diverged in epoch \d+; lower its learning_rate$"):
        small(training=TrainingConfig(learning_rate=1e30, epochs=3)).fit(*stripes)


def test_networks_leave_the_global_random_state_alone(stripes):
    before = torch.get_rng_state()
    small().fit(*stripes)
    assert torch.equal(torch.get_rng_state(), before)
