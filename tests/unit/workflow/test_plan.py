"""What a plan asks for besides its cases."""

from types import SimpleNamespace

import pytest

from ansatz.workflow.configuration.loading import load
from ansatz.workflow.plan import Plan
from configurations import STUDY, configuration


def megabytes(**changes):
    """Return the main memory that a training and an extraction may take."""
    plan = Plan(load(configuration(**changes)), "results/test")
    training = SimpleNamespace(training="initialization/runs/digits/nfm/seed0")
    extraction = SimpleNamespace(extraction="sources/mine/features")
    return plan.megabytes_of(plan.trainings)(training), plan.megabytes_of(plan.extractions)(extraction)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (8191, 8148)),  # 2 GiB, 16 images of 32 x 32 pixels at 2.6 kB, 6 GB
        ({"memory": 0.5}, (7043, 7000)),
        ({"memory": 10, "device": "auto"}, (26043, 26000)),
        ({"memory": 10, "device": "cuda:1"}, (6000, 6000)),
        (
            {"initialization": STUDY | {"network": {"image_size": 224}, "training": {"batch_size": 40}}},
            (13366, 8148),
        ),
    ],
)
def test_jobs_request_memory_for_what_the_configuration_lets_them_take(changes, expected):
    assert megabytes(**changes) == expected
