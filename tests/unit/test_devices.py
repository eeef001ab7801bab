"""The device, its memory, and compiling."""

from types import SimpleNamespace

import pytest
import torch

import forkserver
from ansatz.devices import compiles, take_device, working_memory
from ansatz.errors import UserError
from ansatz.memory import CPU_MEMORY
from real_data import ROOT


def test_an_absent_gpu_is_named():
    with pytest.raises(UserError, match="there is no cuda:7"):
        take_device("cuda:7", threads=1)
    assert take_device("auto", threads=torch.get_num_threads()).type in ("cpu", "cuda")


def test_each_job_takes_a_gpu_of_its_own(monkeypatch, tmp_path):
    """Two GPUs, as PyTorch would report them."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("ansatz.gpus._TAKEN", [])
    current = []
    fakes = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda index: SimpleNamespace(uuid=f"GPU-{index}"),
        "get_device_name": str,
        "set_device": current.append,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(f"torch.cuda.{name}", fake)
    chosen = [take_device(name, threads=torch.get_num_threads()) for name in ("auto", "cuda", "cuda:0")]
    assert chosen == current == [torch.device("cuda", index) for index in (0, 1, 0)]


def test_the_cpus_memory_is_the_same_on_every_machine():
    assert working_memory(torch.device("cpu")) == CPU_MEMORY


def test_without_pythons_headers_nothing_is_compiled(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("sysconfig.get_path", lambda _: tmp_path)
    assert not compiles("compile", "auto", torch.device("cuda"), long=True)
    with pytest.raises(
        UserError, match=rf"compile: true, but there is no {tmp_path}/Python.h, which compiling requires"
    ):
        compiles("compile", True, torch.device("cpu"), long=True)
    (tmp_path / "Python.h").touch()
    assert compiles("compile", "auto", torch.device("cuda"), long=True)


def test_deterministic_holds_for_the_whole_process_and_is_not_the_default():
    code = """if True:
        import os, torch
        from ansatz.devices import take_device
        for deterministic in (False, True):
            take_device("cpu", 1, deterministic=deterministic)
            print(torch.are_deterministic_algorithms_enabled(), os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
    """
    assert forkserver.run(["-c", code], ROOT / "scripts").stdout.split() == ["False", "None", "True", ":4096:8"]
