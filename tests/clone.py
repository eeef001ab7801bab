"""A clone of the repository as users have it, and Snakemake in it."""

import compileall
import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

import forkserver
from real_data import ROOT
from studies import all_sections, small_study

PARTS = ("config", "envs", "profiles", "scripts", "workflow", "results/published")


@dataclass
class Clone:
    """A copy of the repository's files, with a configuration of its own."""

    path: Path

    @property
    def results(self):
        return self.path / "results" / "test"

    def write(self, configuration, file="config/test.yaml"):
        """Write a configuration."""
        (self.path / file).write_text(yaml.safe_dump(configuration))

    def configure(self, file="config/test.yaml", **changes):
        """Write a study as small as can be, with these keys changed."""
        self.write(small_study(**changes), file)

    def configure_all(self, file="config/test.yaml", **changes):
        """Write a configuration of all four sections, as small as can be, with these keys changed."""
        self.write(all_sections(**changes), file)

    def snakemake(self, *arguments, check=True, config="config/test.yaml"):
        """Run snakemake in a fork, and its scripts too, which saves starting them; return its output."""
        command = ["snakemake", "--cores", "2", *arguments, *(["--configfile", config] if config else [])]
        done = forkserver.run(command, self.path)
        assert not check or done.returncode == 0, done.stdout[-5000:]
        return done

    def start(self, *arguments, program=("snakemake",)):
        """Start the command that a user types, without a fork; `output` is what it has printed so far."""
        with open(self.path / "output.txt", "w") as output:
            return subprocess.Popen(
                [*program, *arguments],
                cwd=self.path,
                env=forkserver.user_environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def output(self):
        return (self.path / "output.txt").read_text()

    def copy(self, to):
        """Copy all, so that a test can change it."""
        shutil.copytree(self.path, to, symlinks=True)
        return Clone(to)

    def planned(self, *arguments, uncounted=("all", "draw_page"), **options):
        """Return the rules that a dry run would run, with how often; not the page, which shows all others."""
        output = self.snakemake("--dry-run", *arguments, **options).stdout
        if "Nothing to be done" in output:
            return {}
        _, _, table = output.partition("Job stats:")
        rows = [line.split() for line in table.splitlines()[3:]]
        counts = {row[0]: int(row[1]) for row in rows[: next(i for i, row in enumerate(rows) if row[0] == "total")]}
        return {rule: count for rule, count in counts.items() if rule not in uncounted}


def shared_clone(folder, make):
    """Return a clone that `make(clone)` has run once for all processes of a test run; not to be changed."""
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder / "clone", ignore_errors=True)  # of a process in which it failed
            make(copy_repository(folder / "clone"))
            (folder / "made").touch()
    return Clone(folder / "clone")


def copy_repository(to):
    """Copy the repository's files, its library compiled: else, each program in each clone would compile it anew."""
    compileall.compile_dir(ROOT / "scripts", quiet=1)  # what has not been compiled since it was changed
    for part in PARTS:
        shutil.copytree(ROOT / part, to / part)
    os.symlink("profiles/slurm", to / "slurm")
    return Clone(to)
