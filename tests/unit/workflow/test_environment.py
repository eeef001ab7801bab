"""What jobs inherit from Snakemake."""

import os

import pytest

from ansatz.gpus import SLOTS
from ansatz.job import STARTER
from ansatz.workflow.environment import set_environment


@pytest.mark.parametrize(("own", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_jobs_inherit_what_they_need_and_what_the_user_has_set(monkeypatch, own, expected):
    monkeypatch.setattr(os, "environ", {"OMP_WAIT_POLICY": own} if own else {})
    set_environment(gpu_slots=3)
    assert os.environ == {"OMP_WAIT_POLICY": expected, STARTER: str(os.getpid()), SLOTS: "3"}
