"""Jobs and GPUs, without any GPU: names and files stand for them."""

import os
import subprocess
import sys

import pytest

from ansatz import gpus
from ansatz.errors import UserError
from real_data import ROOT


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """The folder of the locks, none of which is taken."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv(gpus.SLOTS, raising=False)
    monkeypatch.setattr(gpus, "_TAKEN", [])
    monkeypatch.setattr(gpus, "PAUSE", 0.01)
    return tmp_path


@pytest.mark.parametrize(
    ("visible", "count"), [(None, 3), ("", 0), ("-1", 0), ("2", 1), ("0, 1", 2), ("0,-1,1", 1), ("GPU-a,GPU-b", 2)]
)
def test_gpus_are_counted(monkeypatch, tmp_path, visible, count):
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.count_gpus(tmp_path) == count


def test_gpus_are_shared_only_where_all_are_in_use(monkeypatch):
    monkeypatch.setenv(gpus.SLOTS, "2")
    assert [gpus.take_gpu(["a", "b"]) for _ in range(4)] == [0, 1, 0, 1]
    assert gpus.take_gpu(["c", "a"]) == 0, "a GPU is the same whatever its index"


def test_a_file_in_place_of_the_locks_is_one_line(folder):
    (folder / f"ansatz-gpus-{os.getuid()}").touch()
    with pytest.raises(UserError, match="is no folder; remove it, as it is to hold the locks of GPUs"):
        gpus.take_gpu(["a", "b"])


def test_a_gpu_is_free_when_the_job_that_took_it_is_killed(caplog):
    code = "from ansatz.gpus import take_gpu; print(take_gpu(['a']), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"0\n"
        assert gpus._occupy(["a"]) is None
        assert gpus.take_gpu(["a", "b"]) == 1
        other.kill()
    assert gpus.take_gpu(["a", "b"]) == 0


def test_a_job_waits_for_a_free_gpu(monkeypatch, caplog):
    gpus.take_gpu(["a"])
    monkeypatch.setattr("time.sleep", lambda _: gpus._TAKEN.pop().close())  # the other job ends meanwhile
    with caplog.at_level("INFO"):
        assert gpus.take_gpu(["a"]) == 0
    assert caplog.messages == ["waiting for a free GPU: all 1 are in use"]
