"""Every registered kernel passes the checks, at the edges of its options too; wrong kernels do not."""

from dataclasses import dataclass

import pytest
import torch

from ansatz import registry
from ansatz.registry import kernel
from gaussian import Gaussian
from kernel_checks import CHECKS, construct, images, is_positive_semidefinite
from registered import edge_cases

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("options", [{}, {"patch_size": 2, "padding": 1}], ids=["default", "padded"])
@pytest.mark.parametrize("name", registry.definitions("kernel"))
def test_every_kernel_passes_every_check(name, options, check):
    types = registry.find("kernel", name).types
    check(name, **{option: value for option, value in options.items() if option in types})


@pytest.mark.parametrize(("name", "option", "value"), edge_cases("kernel"))
def test_options_are_accepted_at_the_edges(name, option, value):
    small = {"depth": 1} if "depth" in registry.find("kernel", name).types else {}
    kernel = construct(name, **small | {option: value})
    assert getattr(kernel, option, value) == value
    is_positive_semidefinite(name, **small | {option: value})


# ------------------------------------------------------------------------------------------------- wrong kernels
class WrongDerivatives(Gaussian):
    def derivatives(self, q12, q11, q22):
        by_q12, by_q22 = super().derivatives(q12, q11, q22)
        return by_q12 / 2, by_q22


class WrongSignByQ22(Gaussian):
    def derivatives(self, q12, q11, q22):
        by_q12, by_q22 = super().derivatives(q12, q11, q22)
        return by_q12, -by_q22


class WrongDiagonal(Gaussian):
    def diagonal(self, q):
        return super().diagonal(q) + 0.01


class Asymmetric(Gaussian):
    def at_positions(self, q12, q11, q22):
        return (-self.gamma * (q11 + q22 / 2 - 2 * q12)).exp()


class Indefinite(Gaussian):
    """The distance itself, of which the diagonal is 0."""

    def at_positions(self, q12, q11, q22):
        return q11 + q22 - 2 * q12

    def diagonal(self, q):
        return torch.zeros_like(q[0, 0])

    def derivatives(self, q12, q11, q22):
        return torch.full_like(q12, -2), torch.ones_like(q12)


class Inhomogeneous(Gaussian):
    pass


class Undefined(Gaussian):
    """A root without a derivative where patches are equal, and with rounding errors below it."""

    def values(self, q12, q11, q22):
        return (-self.gamma * (q11 + q22 - 2 * q12).sqrt()).exp().sum((0, 1))

    def derivatives(self, q12, q11, q22):
        distance = (q11 + q22 - 2 * q12).sqrt()
        by_square = -self.gamma * (-self.gamma * distance).exp() / (2 * distance)
        return -2 * by_square, by_square


class Double(Gaussian):
    def derivatives(self, q12, q11, q22):
        return tuple(by.double() for by in super().derivatives(q12, q11, q22))


@dataclass(frozen=True)
class IgnoresPadding(Gaussian):
    def __post_init__(self):
        object.__setattr__(self, "padding", 0)


@pytest.fixture
def failing(monkeypatch):
    """Return the names of the checks that a kernel does not pass."""
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))

    def failed(cls, **declared):
        kernel(cls, **declared)
        names = set()
        for check in CHECKS:
            try:
                check(cls.__name__.lower())
            except (AssertionError, RuntimeError):
                names.add(check.__name__)
        return names

    return failed


def test_a_right_kernel_passes(failing):
    assert failing(Gaussian) == set()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (WrongDerivatives, {"derivatives_are_those_of_its_values", "agops_are_those_of_its_predictors"}),
        (WrongSignByQ22, {"derivatives_are_those_of_its_values", "agops_are_those_of_its_predictors"}),
        (WrongDiagonal, {"the_diagonal_is_that_of_its_values"}),
        (Asymmetric, {"is_symmetric"}),
        (Indefinite, {"is_positive_semidefinite"}),
        (Undefined, {"is_finite_where_patches_are_blank_or_parallel"}),
        (Double, {"float32_is_near_float64"}),
        (IgnoresPadding, {"has_the_geometry_of_its_options"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_kernel_fails_the_check_of_what_is_wrong(failing, wrong, expected):
    assert expected <= failing(wrong)


def test_a_kernel_that_is_not_homogeneous_may_not_say_so(failing):
    assert failing(Inhomogeneous, homogeneous=True) == {"is_homogeneous_where_it_says_so"}
    assert failing(Inhomogeneous, homogeneous=False) == set()


def test_images_of_the_checks_are_as_small_as_a_kernel_takes():
    kernel = Gaussian(patch_size=5, padding=1)
    assert images(kernel, spare=0).shape[2:] == (3, 4)
