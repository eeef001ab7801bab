"""Every registered initializer passes the checks, and the checks fail for wrong initializers."""

import pytest

import initializer_checks as checks
from ansatz import registry
from registered import edge_cases

MINE = '''
from typing import Annotated
import torch
from annotated_types import Gt
from ansatz.initializers.drawing import draw_
from ansatz.registry import initializer

GENERATOR = torch.Generator()

@initializer
def plain(weight, generator, *, std: Annotated[float, Gt(0)] = 0.1):
    """Normal filters of one's own."""
    weight.normal_(0, std, generator=generator)

@initializer(needs="agop", scale="kaiming")
def mine(weight, generator, covariance):
    """Filters from feature matrices of one's own."""
    draw_(weight, generator, covariance)
'''
DRAW = "    draw_(weight, generator, covariance)"

# check, initializer, what is replaced in the text, by what, what the check says
WRONG = [
    (checks.fills_every_entry_in_place, "plain", "weight.normal_", "weight[:4].normal_", "not filled"),
    (checks.fills_every_entry_in_place, "plain", "weight.normal_", "weight.clone().normal_", "not filled"),
    (checks.fills_every_entry_in_place, "plain", "weight.normal_", "weight.data = weight.clone().normal_", "replaced"),
    (checks.fills_every_entry_in_place, "plain", "weight.normal_", "weight.requires_grad_(False).normal_", "trained"),
    (checks.fills_every_entry_in_place, "mine", DRAW, f"{DRAW}; weight.div_(0)", "not finite"),
    (checks.is_drawn_from_its_generator, "plain", ", generator=generator", "", "global generator"),
    (checks.is_drawn_from_its_generator, "plain", "=generator)", "=GENERATOR)", "one seed gives different"),
    (checks.is_drawn_from_its_generator, "plain", "std, gen", "std, generator=generator.manual_seed(0)) #", "another"),
    (checks.has_mean_zero, "plain", "normal_(0, std", "normal_(std / 20, std", "mean of the filters"),
    (checks.has_mean_zero, "mine", DRAW, f"{DRAW}; weight.abs_()", "mean of the filters"),
    (
        checks.has_the_covariance_that_it_declares,  # it draws at trace 1
        "mine",
        DRAW,
        "    draw_(weight, generator, covariance.scaled(1 / covariance.trace()))",
        "is not the agop at scale kaiming",
    ),
    (checks.has_the_covariance_that_it_declares, "mine", DRAW, f"{DRAW}; weight.mul_(1.02)", "scale kaiming"),
    (
        checks.has_the_covariance_that_it_declares,
        "mine",
        DRAW,
        f"{DRAW}; weight.copy_(weight.mT.clone())",
        "scale kaiming",
    ),
    (
        checks.has_the_covariance_that_it_declares,
        "mine",
        DRAW,
        "    weight.normal_(0, (2 / 18) ** 0.5, generator=generator)",
        "scale kaiming",
    ),
    (
        checks.reads_only_what_it_declares,
        "plain",
        "(weight, generator, *",
        "(weight, generator, covariance=0, *",
        "takes",
    ),
    (checks.reads_only_what_it_declares, "mine", 'needs="agop", ', "", "takes weight, generator, covariance"),
    (checks.reads_only_what_it_declares, "mine", "covariance)", "covariance, **options)", "undeclared arguments"),
    (checks.reads_only_what_it_declares, "mine", DRAW, "    weight.normal_(generator=generator)", "agop: False"),
]


@pytest.mark.parametrize("check", checks.CHECKS)
@pytest.mark.parametrize("name", registry.definitions("initializer"))
def test_every_initializer_is_right(name, check):
    check(name)


@pytest.mark.parametrize(("name", "option", "value"), edge_cases("initializer"))
def test_every_option_works_at_the_edges_of_its_range(name, option, value):
    for check in checks.CHECKS:
        check(name, **{option: value})


@pytest.mark.parametrize("check", checks.CHECKS)
@pytest.mark.parametrize("name", ["plain", "mine"])
def test_an_initializer_of_ones_own_is_right(plugin, name, check):
    plugin(MINE)
    check(name)


@pytest.mark.parametrize(("check", "name", "old", "new", "message"), WRONG)
def test_a_wrong_initializer_fails(plugin, check, name, old, new, message):
    assert old in MINE
    plugin(MINE.replace(old, new))
    with pytest.raises(AssertionError, match=message):
        check(name)


def test_an_option_that_fails_at_an_edge_is_found(plugin):
    plugin(MINE.replace("normal_(0, std", "normal_(0, torch.tensor(std - 1e-3).log().item()"))
    assert ("plain", "std", 1e-3) in [case.values for case in edge_cases("initializer")]
    with pytest.raises(RuntimeError, match="normal expects std"):
        checks.fills_every_entry_in_place("plain", std=1e-3)
