"""What computes: the device, the memory it may take, the precision."""

import ctypes
import logging
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any, cast

import torch

from ansatz.errors import UserError

LOG = logging.getLogger(__name__)
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CPU_MEMORY = 2**30  # bytes, where nothing else is said: little beside a laptop's memory, more gains no speed
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # as in malloc.h
GPU_SHARE = 0.25  # of a GPU's memory, for images, and as much again for what is computed from them


def find_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    UserError
        If it is none, or a GPU that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"device: {name!r} is none of auto, cpu, cuda and cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: {name} is not there; this machine has {torch.cuda.device_count()} GPUs for it")
    return device


def take_device(name: str, threads: int, *, deterministic: bool = False) -> torch.device:
    """Return the device that `find_device` finds, set up for this process.

    Parameters
    ----------
    name : str
    threads : int
        How many the CPU may use.
    deterministic : bool
        Whether a GPU is to compute the same bits again in the same job; the CPU does anyway. An operation that cannot
        raises a RuntimeError.
    """
    device = find_device(name)
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")  # float32 is that, whatever the environment says
    if device.type == "cpu":
        _keep_freed_memory()
    torch.backends.cudnn.benchmark = not deterministic  # the fastest of several algorithms, found anew by each process
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)  # imports PyTorch's compiler, hence not called with False
        cast(Any, torch.utils.deterministic).fill_uninitialized_memory = False  # of use in debugging only
    LOG.info("device: %s", torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {threads} threads")
    return device


def working_memory(device: torch.device) -> int:
    """Return the bytes that images, and what is computed from them at once, may each take, if nothing else is said.

    They do not depend on what is free at the moment: sums are rounded by their chunks, and equal jobs are to make equal
    ones.
    """
    if device.type == "cuda":
        return int(GPU_SHARE * torch.cuda.get_device_properties(device).total_memory)
    return CPU_MEMORY


def compiles(key: str, wanted: bool | str, device: torch.device, *, long: bool) -> bool:
    """Return whether to use PyTorch's compiler: for ``auto``, in what takes long on a GPU, where it pays.

    Raises
    ------
    UserError
        If it is wanted, and there is no C compiler, or none of Python's headers, which it takes; the error names the
        key.
    """
    headers, missing = Path(sysconfig.get_path("include"), "Python.h"), None
    if shutil.which("cc") is None:
        missing = "C compiler (cc) here"
    elif not headers.exists():
        missing = str(headers)
    if wanted == "auto":
        return device.type == "cuda" and long and not missing
    if wanted and missing:
        raise UserError(f"{key}: true, but there is no {missing}, which it takes; set it to false")
    return bool(wanted)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which forward passes compute in one of `PRECISIONS`."""
    dtype = PRECISIONS[precision]
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def _keep_freed_memory() -> None:
    """Tell the C library to keep freed blocks for the next batch, which is of the same size.

    By default glibc returns large ones to the system, and each batch faults its pages in anew: half of a training's
    time on the CPU. Elsewhere than on Linux nothing is done.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):  # glibc's
        libc.mallopt(M_MMAP_MAX, 0)  # no block by itself
        libc.mallopt(M_TRIM_THRESHOLD, -1)  # nothing returned
