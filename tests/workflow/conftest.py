"""Clones to run the workflow in."""

import shutil

import pytest

from clone import Clone, copy_repository


@pytest.fixture
def clone(tmp_path):
    found = copy_repository(tmp_path / "clone")
    found.configure()
    return found


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory):
    """A clone in which the small study has run, to be copied by each test that changes something."""
    found = copy_repository(tmp_path_factory.mktemp("finished") / "clone")
    found.configure()
    found.snakemake()
    return found


@pytest.fixture
def finished(finished_once, tmp_path):
    shutil.copytree(finished_once.path, tmp_path / "clone", symlinks=True)
    return Clone(tmp_path / "clone")
