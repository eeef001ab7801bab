"""Every registered task passes the checks, at the edges of its options too; wrong tasks do not."""

from dataclasses import replace

import numpy as np
import pytest

from ansatz import registry
from ansatz.errors import UserError
from ansatz.machines.tasks import bars
from ansatz.registry import task
from registered import edge_cases
from task_checks import CHECKS, gives_images_and_labels


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", registry.definitions("task"))
def test_every_task_passes_every_check(name, check):
    check(name)


@pytest.mark.parametrize(("name", "option", "value"), edge_cases("task"))
def test_options_are_accepted_at_the_edges(name, option, value):
    """Or refused in a line that names the option, where the dataset's images do not fit."""
    if option == "frame" and value < 5:
        with pytest.raises(UserError, match=r"^frame: "):
            gives_images_and_labels(name, frame=value)
    else:
        gives_images_and_labels(name, **{option: value})


# ------------------------------------------------------------------------------------------------- wrong tasks
def double(made, noise, seed):
    return replace(made, x_train=made.x_train.astype(float))


def unseeded(made, noise, seed):
    return replace(made, x_train=np.random.default_rng().permutation(made.x_train))


def leaking(made, noise, seed):
    return replace(made, x_test=made.x_train[: len(made.x_test)])


def other_images(made, noise, seed):
    """Another seed for each level of noise."""
    return bars(None, len(made.y_train), len(made.y_test), seed + int(1000 * noise), noise=noise)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda made, noise, seed: made, set()),
        (double, {"gives_images_and_labels"}),
        (unseeded, {"is_drawn_from_the_seed", "levels_of_noise_share_their_images"}),
        (leaking, {"tests_on_other_images"}),
        (other_images, {"levels_of_noise_share_their_images"}),
    ],
)
def test_a_wrong_task_fails_the_check_of_what_is_wrong(monkeypatch, change, expected):
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))

    @task(of_dataset=False)
    def mine(data, train, test, seed, *, noise=0.5):
        return change(bars(data, train, test, seed, noise=noise), noise, seed)

    failed = set()
    for check in CHECKS:
        try:
            check("mine")
        except AssertionError:
            failed.add(check.__name__)
    assert failed == expected
