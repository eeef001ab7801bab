"""Optimizers against PyTorch's classes."""

import pytest
import torch
from torch import nn

from ansatz.optimizers import OPTIMIZERS
from ansatz.training import Protocol

THEIRS = {
    "sgd": lambda parameters, epsilon: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda parameters, epsilon: torch.optim.Adam(parameters, lr=0.1, weight_decay=0.01, eps=epsilon or 1e-8),
    "adadelta": lambda parameters, epsilon: torch.optim.Adadelta(
        parameters, lr=0.1, weight_decay=0.01, eps=epsilon or 1e-6
    ),
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def steps(network, step, count):
    """Descend on the squares of what comes out."""
    for number in range(count):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(number))
        network.zero_grad()
        network(x).square().mean().backward()
        step()


@pytest.mark.parametrize("epsilon", [None, 1e-3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_computes_what_pytorchs_class_computes(name, epsilon):
    ours, theirs = network(), network()
    optimizer = OPTIMIZERS[name](ours, momentum=0.9, weight_decay=0.01, epsilon=epsilon)
    reference = THEIRS[name](theirs.parameters(), epsilon)
    steps(ours, lambda: optimizer.step(0.1), 20)
    steps(theirs, reference.step, 20)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on_from_its_state(name):
    whole, halved = network(), network()
    optimizer = OPTIMIZERS[name](whole, momentum=0.9)
    steps(whole, lambda: optimizer.step(0.1), 6)
    first = OPTIMIZERS[name](halved, momentum=0.9)
    steps(halved, lambda: first.step(0.1), 3)
    second = OPTIMIZERS[name](halved, momentum=0.9)
    second.load(first.state)
    for number in range(3, 6):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(number))
        halved(x).square().mean().backward()
        second.step(0.1)
    for a, b in zip(whole.parameters(), halved.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_learning_rate_falls_as_multisteplr_has_it():
    protocol = Protocol(learning_rate=0.4, milestones=(2, 3, 7), gamma=0.5)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3, 7], gamma=0.5)
    for epoch in range(1, 11):
        assert protocol.rate(epoch) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
