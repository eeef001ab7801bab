"""Results on a disk that is full, or that may not be written."""

import subprocess

from disks import mounted


def test_a_full_disk_is_one_line_and_what_is_missing_is_made_on_a_larger_one(clone):
    with mounted(clone.results, "size=500k"):
        done = clone.snakemake(check=False)
        assert done.returncode
        errors = [line for line in done.stdout.splitlines() if "error: " in line]
        assert all("no space left on the device; nothing was written" in line for line in errors)
        assert errors, done.stdout
        assert "Traceback" not in done.stdout
        subprocess.run(["mount", "-o", "remount,size=100m", str(clone.results)], check=True)
        clone.snakemake("results/test/initialization/table.md")
        assert (clone.results / "initialization/table.md").exists()


def test_a_folder_that_may_not_be_written_is_one_line(clone):
    with mounted(clone.results, "ro"):
        done = clone.snakemake(check=False)
        assert done.returncode
        assert "results/test/config.yaml: Read-only file system; results are to be written there" in done.stdout
        assert "Traceback" not in done.stdout
