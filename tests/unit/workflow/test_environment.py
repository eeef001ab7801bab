"""What jobs inherit from Snakemake."""

import os

import pytest

from ansatz.gpus import SLOTS
from ansatz.job import STARTER
from ansatz.workflow.environment import WAITING, set_environment


@pytest.mark.parametrize(
    ("own", "waiting"),
    [({}, WAITING), *((own, own) for own in ({"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "5"}))],
)
def test_jobs_inherit_what_they_need_and_what_the_user_has_set(monkeypatch, own, waiting):
    monkeypatch.setattr(os, "environ", dict(own))
    set_environment(gpu_slots=3)
    assert os.environ == waiting | {STARTER: str(os.getpid()), SLOTS: "3"}
