"""Results on a disk that is full, or that may not be written."""

import os
import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def mounted(folder, options):
    """Mount a small disk in memory, for root."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file systems can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_what_is_missing_is_made_on_a_larger_one(clone):
    with mounted(clone.results, "size=1m"):
        done = clone.snakemake(check=False)
        assert done.returncode
        told = [line for line in done.stdout.splitlines() if "error: " in line]
        assert all("no space left on the device; nothing was written" in line for line in told)
        assert len(told) == 2  # a training and the source's: the rest waits for them or does not need them
        assert "Traceback" not in done.stdout
        subprocess.run(["mount", "-o", "remount,size=100m", str(clone.results)], check=True)
        clone.snakemake()
        assert (clone.results / "table.md").exists()


def test_a_folder_that_may_not_be_written_is_one_line(clone):
    with mounted(clone.results, "ro"):
        done = clone.snakemake(check=False)
        assert done.returncode
        assert "results/test/config.yaml: Read-only file system; results are to be written there" in done.stdout
        assert "Traceback" not in done.stdout
