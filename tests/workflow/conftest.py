"""Clones to run the workflow in."""

import os

import pytest

from clone import copy_repository, shared_clone


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture
def clone(tmp_path):
    copy = copy_repository(tmp_path / "clone")
    copy.configure()
    return copy


@pytest.fixture(scope="session")
def finished_once(shared):
    """A clone in which the small study has run; by the command that a user types, but for what runs again with it."""

    def run(clone):
        clone.configure()
        run = "initialization/runs/digits/kaiming_uniform/seed0"
        repeated = (f"{run}/metrics.csv", f"{run}/activations.csv", "sources/digits/weights.pt")
        clone.snakemake(*(f"results/test/{file}" for file in repeated))
        assert clone.start("--cores", "2", "--configfile", "config/test.yaml").wait() == 0, clone.output

    return shared_clone(shared / "finished", run)


@pytest.fixture
def finished(finished_once, tmp_path):
    return finished_once.copy(tmp_path / "clone")


@pytest.fixture(scope="session")
def complete_once(shared):
    """A clone in which all four sections have run."""

    def run(clone):
        clone.configure_all()
        clone.snakemake()

    return shared_clone(shared / "complete", run)


@pytest.fixture
def complete(complete_once, tmp_path):
    return complete_once.copy(tmp_path / "clone")
