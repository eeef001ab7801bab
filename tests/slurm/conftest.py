"""A cluster, and clones whose profile knows it."""

import shutil

import pytest
import yaml

from clone import copy_repository
from cluster import Cluster, obstacle, short_folder

# What a user writes into the profile for this cluster: no accounting, and answers within seconds.
SETTINGS = {"slurm-status-command": "squeue", "slurm-init-seconds-before-status-checks": 1, "latency-wait": 10}


@pytest.fixture(scope="session")
def cluster():
    if reason := obstacle():
        pytest.skip(reason)
    folder = short_folder("slurm-")
    with Cluster(folder, gpus=2) as found:
        yield found
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory):
    """Make clones, whose default configuration is the small study with `changes`, and whose profile has `settings`."""

    def make(name, settings=None, **changes):
        clone = copy_repository(tmp_path_factory.mktemp("slurm") / name)
        clone.configure("config/config.yaml", device="auto", **changes)
        profile = clone.path / "profiles/slurm/config.yaml"
        content = yaml.safe_load(profile.read_text()) | SETTINGS | (settings or {})
        profile.write_text(yaml.safe_dump(content))
        return clone

    return make
