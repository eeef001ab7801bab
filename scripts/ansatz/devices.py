"""The device that computes, the memory it may use, and its precision."""

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
from ansatz.gpus import take_gpu
from ansatz.memory import CPU_MEMORY

LOG = logging.getLogger(__name__)
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # as in malloc.h
GPU_SHARE = 0.25  # of a GPU's memory for images, and as much again for what is computed from them


def find_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    UserError
        If there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"device: {name!r} is none of auto, cpu, cuda, cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: there is no {name}; the number of GPUs available is {torch.cuda.device_count()}")
    return device


def take_device(name: str, threads: int, *, deterministic: bool = False) -> torch.device:
    """Return the device of that name, and set this process up to compute on it.

    Where there are several GPUs, ``auto`` and ``cuda`` take one that no other job has taken.

    Parameters
    ----------
    name : str
        As for `find_device`.
    threads : int
        Number of threads that computations on the CPU may use.
    deterministic : bool
        Whether a GPU computes the same bits whenever the job is repeated, as the CPU always does. Operations that
        cannot then raise a RuntimeError.
    """
    device = find_device(name)
    if device.type == "cuda" and device.index is None and (number := torch.cuda.device_count()) > 1:
        identities = [str(torch.cuda.get_device_properties(index).uuid) for index in range(number)]
        device = torch.device("cuda", take_gpu(identities))
    if device.index is not None:
        torch.cuda.set_device(device)
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")  # no TF32, whatever the environment says
    if device.type == "cpu":
        _keep_freed_memory()
    torch.backends.cudnn.benchmark = not deterministic  # each process times several algorithms and uses the fastest
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)  # imports PyTorch's compiler, hence not called with False
        cast(Any, torch.utils.deterministic).fill_uninitialized_memory = False  # of use in debugging only
    LOG.info("device: %s", torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {threads} threads")
    return device


def working_memory(device: torch.device) -> int:
    """Return the default number of bytes for images, and again for what is computed from a batch of them.

    It does not depend on how much memory is free: batches determine how sums are rounded, and equal jobs must give
    equal numbers.
    """
    if device.type == "cuda":
        return int(GPU_SHARE * torch.cuda.get_device_properties(device).total_memory)
    return CPU_MEMORY


def compiles(key: str, wanted: bool | str, device: torch.device, *, long: bool) -> bool:
    """Return whether to use PyTorch's compiler.

    Parameters
    ----------
    key : str
        The key of the configuration, for the error message.
    wanted : bool or "auto"
        ``auto`` compiles computations on a GPU that are long enough to gain from it.
    device : torch.device
    long : bool
        Whether the computation takes longer than compiling it.

    Raises
    ------
    UserError
        If it is wanted, but a C compiler or Python's headers are missing, which PyTorch's compiler requires.
    """
    headers, missing = Path(sysconfig.get_path("include"), "Python.h"), None
    if shutil.which("cc") is None:
        missing = "C compiler (cc)"
    elif not headers.exists():
        missing = str(headers)
    if wanted == "auto":
        return device.type == "cuda" and long and not missing
    if wanted and missing:
        raise UserError(f"{key}: true, but there is no {missing}, which compiling requires; set it to false")
    return bool(wanted)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which forward passes compute in a precision of `PRECISIONS`."""
    dtype = PRECISIONS[precision]
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def _keep_freed_memory() -> None:
    """Make the C library keep freed blocks of memory for the next batch, which has the same size.

    By default glibc returns large blocks to the system, and page faults then take half of a training's time on the CPU.
    This does nothing except on Linux.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):  # glibc's
        libc.mallopt(M_MMAP_MAX, 0)  # no block outside the heap
        libc.mallopt(M_TRIM_THRESHOLD, -1)  # never shrink the heap
