"""Optimizers against PyTorch's classes, and what a training's configuration says of them."""

import inspect
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

import interpreter
from ansatz.errors import UserError
from ansatz.training.config import OPTIMIZERS, TrainingConfig
from ansatz.training.optimizers import UPDATES, Optimizer

CLASSES = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adadelta": torch.optim.Adadelta,
}
PYTORCHS = {"momentum": "momentum", "epsilon": "eps"}  # our names for hyperparameters -> PyTorch's


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def steps(network, step, numbers):
    """Descend on the squares of the outputs."""
    for number in numbers:
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(number))
        network.zero_grad()
        network(x).square().mean().backward()
        step()


def test_every_optimizer_is_declared_with_its_hyperparameters():
    assert set(get_args(get_type_hints(TrainingConfig)["optimizer"])) == set(OPTIMIZERS) == set(UPDATES)
    for name, (update, _) in UPDATES.items():
        parameters = inspect.signature(update).parameters.values()
        assert {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} == set(OPTIMIZERS[name])


@pytest.mark.parametrize("value", [None, 1e-3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_computes_what_pytorchs_class_computes(name, value):
    ours, theirs = network(), network()
    hyperparameters = dict.fromkeys(OPTIMIZERS[name], value)
    config = TrainingConfig(optimizer=name, weight_decay=0.01, **hyperparameters)
    optimizer = Optimizer(ours, config)
    hyperparameters = config.hyperparameters("optimizer")
    options = {PYTORCHS[key]: hyperparameters[key] for key in OPTIMIZERS[name] if value or key != "epsilon"}
    reference = CLASSES[name](theirs.parameters(), lr=0.1, weight_decay=0.01, **options)
    steps(ours, lambda: optimizer.step(0.1), range(20))
    steps(theirs, reference.step, range(20))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_continues_from_its_state(name):
    whole, halved = network(), network()
    config = TrainingConfig(optimizer=name)
    optimizer, first = Optimizer(whole, config), Optimizer(halved, config)
    steps(whole, lambda: optimizer.step(0.1), range(6))
    steps(halved, lambda: first.step(0.1), range(3))
    second = Optimizer(halved, config)
    second.load_state(first.state)
    steps(halved, lambda: second.step(0.1), range(3, 6))
    for a, b in zip(whole.parameters(), halved.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hyperparameter_of_another_optimizer_is_refused(name):
    for other in set(PYTORCHS) - set(OPTIMIZERS[name]):
        with pytest.raises(UserError, match=f"{other}: 0.5, but {name} has no {other}"):
            TrainingConfig(optimizer=name, **{other: 0.5})
    with pytest.raises(UserError, match="optimizer: 'sdg' is none of sgd, adam"):
        TrainingConfig(optimizer="sdg")


def test_the_configuration_of_a_training_does_not_import_pytorch():
    code = "import sys; from ansatz.training.config import TrainingConfig; sys.exit('torch' in sys.modules)"
    interpreter.run(code)
