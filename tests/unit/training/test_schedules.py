"""The learning rate of each step against PyTorch's schedulers."""

from typing import get_args, get_type_hints

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, MultiStepLR, SequentialLR

from ansatz.errors import UserError
from ansatz.training.config import SCHEDULES, TrainingConfig
from ansatz.training.schedules import FACTORS


def rates(config, steps_per_epoch):
    return [config.learning_rate_at(step, steps_per_epoch) for step in range(config.epochs * steps_per_epoch)]


def rates_of(scheduler, count, rate=0.4):
    """Return the learning rates of so many steps under a scheduler of PyTorch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)
    schedule, rates = scheduler(optimizer), []
    for _ in range(count):
        rates += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    return rates


def test_every_schedule_is_declared_with_its_hyperparameters():
    assert set(get_args(get_type_hints(TrainingConfig)["schedule"])) == set(FACTORS)
    assert SCHEDULES == {"constant": {}, "step": {"milestones": (), "gamma": 0.1}, "cosine": {}}


def test_by_default_the_learning_rate_is_exactly_the_configured_one():
    for schedule in ("step", "constant"):
        assert set(rates(TrainingConfig(epochs=3, learning_rate=0.3, schedule=schedule), 7)) == {0.3}


@pytest.mark.parametrize("gamma", [None, 0.5])
def test_step_is_pytorchs_multisteplr_by_epochs(gamma):
    config = TrainingConfig(epochs=10, learning_rate=0.4, milestones=(2, 3, 7), gamma=gamma)
    expected = rates_of(lambda optimizer: MultiStepLR(optimizer, [2, 3, 7], gamma=gamma or 0.1), 10)
    assert rates(config, 5) == pytest.approx([rate for rate in expected for _ in range(5)])


@given(epochs=st.integers(1, 6), steps_per_epoch=st.integers(1, 9))
def test_cosine_is_pytorchs_cosineannealinglr_by_steps(epochs, steps_per_epoch):
    config = TrainingConfig(epochs=epochs, learning_rate=0.4, schedule="cosine")
    steps = epochs * steps_per_epoch
    assert rates(config, steps_per_epoch) == pytest.approx(
        rates_of(lambda optimizer: CosineAnnealingLR(optimizer, steps), steps)
    )


@pytest.mark.parametrize(("warmup", "steps"), [(2, 14), (0.5, 4), (1 / 7, 1)])
def test_the_warmup_is_pytorchs_linearlr_and_precedes_the_schedule(warmup, steps):
    def schedulers(optimizer):
        after = CosineAnnealingLR(optimizer, 28 - steps)
        if steps == 1:  # its first step has the full rate
            return SequentialLR(optimizer, [LinearLR(optimizer, 1.0), after], [steps])
        return SequentialLR(optimizer, [LinearLR(optimizer, 1 / steps, total_iters=steps - 1), after], [steps])

    config = TrainingConfig(epochs=4, learning_rate=0.4, schedule="cosine", warmup=warmup)
    assert rates(config, 7) == pytest.approx(rates_of(schedulers, 28))


def test_a_hyperparameter_of_another_schedule_is_refused():
    for option in ({"milestones": (1,)}, {"gamma": 0.5}):
        (name,) = option
        with pytest.raises(UserError, match=rf"^{name}: .*, but cosine has no {name}$"):
            TrainingConfig(schedule="cosine", **option)
    with pytest.raises(UserError, match="schedule: 'cosin' is none of constant, step, cosine"):
        TrainingConfig(schedule="cosin")
    with pytest.raises(UserError, match="warmup: 3 epochs of 3; it must be below 3"):
        TrainingConfig(epochs=3, warmup=3)
