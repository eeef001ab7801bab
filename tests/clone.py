"""A clone of the repository, and Snakemake in it, as a user has them."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from real_data import ROOT

PARTS = ("config", "envs", "profiles", "scripts", "workflow", "results/published")


def small_study(**changes):
    """Return a configuration as small as can be, with these keys changed (None: removed)."""
    config = {
        "name": "test",
        "datasets": {"digits": {"limit": 60}},
        "initializers": ["kaiming_uniform", "nfm"],
        "seeds": [0],
        "network": {"width": 0.03125, "image_size": 32},
        "source": {"pretrain": {"dataset": "digits", "training": {"epochs": 1, "batch_size": 16}}},
        "feature_matrices": {"images": 8},
        "training": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01},
        "device": "cpu",
    } | changes
    return {key: value for key, value in config.items() if value is not None}


@dataclass
class Clone:
    """A copy of the repository's files, with a configuration of its own."""

    path: Path

    @property
    def results(self):
        return self.path / "results" / "test"

    def configure(self, file="config/test.yaml", **changes):
        """Write a study as small as can be, with these keys changed."""
        (self.path / file).write_text(yaml.safe_dump(small_study(**changes)))

    def snakemake(self, *arguments, check=True, config="config/test.yaml"):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        command += ["--configfile", config] if config else []
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            command,
            cwd=self.path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout[-5000:]
        return done

    def planned(self, *arguments, **options):
        """Return the rules that a dry run would run, with how often; all is not counted."""
        output = self.snakemake("--dry-run", *arguments, **options).stdout
        if "Nothing to be done" in output:
            return {}
        _, _, table = output.partition("Job stats:")
        rows = [line.split() for line in table.splitlines()[3:]]
        counts = {row[0]: int(row[1]) for row in rows[: next(i for i, row in enumerate(rows) if row[0] == "total")]}
        counts.pop("all", None)
        return counts


def refusal(config):
    """Check a configuration as the workflow does, but without Snakemake's start; return the line that refuses it."""
    definitions, _, call = (ROOT / "workflow/rules/configuration.smk").read_text().rpartition("\nSCHEMA = ")
    assert call.startswith("check(config, ")
    namespace = {}
    exec(definitions, namespace)
    with pytest.raises(SystemExit) as caught:
        namespace["check"](config, str(ROOT / "workflow/schemas/config.schema.yaml"))
    assert caught.value.code.startswith("config")
    assert "\n" not in caught.value.code
    return caught.value.code


def copy_repository(to):
    for part in PARTS:
        shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("__pycache__"))
    os.symlink("profiles/slurm", to / "slurm")
    return Clone(to)
