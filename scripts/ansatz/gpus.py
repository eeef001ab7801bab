"""The GPUs of this machine: how many there are, and which of them a job takes; importable without PyTorch."""

import itertools
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ansatz.errors import UserError

LOG = logging.getLogger(__name__)
SLOTS = "ANSATZ_GPU_SLOTS"  # the variable with the number of jobs that share a GPU
PAUSE = 1.0  # seconds between two looks for a free GPU
_TAKEN: list[IO[bytes]] = []  # open as long as this process lives


def count_gpus(devices: Path = Path("/dev")) -> int:
    """Return how many GPUs a job may use here: those of ``CUDA_VISIBLE_DEVICES``, otherwise all; 0 if none is seen."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len(list(devices.glob("nvidia[0-9]*")))
    names = (name.strip() for name in visible.split(","))
    return len(list(itertools.takewhile(lambda name: name not in ("", "-1"), names)))


def take_gpu(identities: Sequence[str]) -> int:
    """Return the index of a GPU with a free slot, and occupy that slot until this process ends; wait if there is none.

    A slot is a locked file: the kernel releases it however the process ends.

    Parameters
    ----------
    identities : sequence of str
        What identifies each GPU to all processes, whatever its index is there: its UUID.
    """
    index = _occupy(identities)
    if index is None:
        LOG.info("waiting for a free GPU: all %d are in use", len(identities))
    while index is None:
        time.sleep(PAUSE)
        index = _occupy(identities)
    return index


def _occupy(identities: Sequence[str]) -> int | None:
    import fcntl  # Windows has none

    folder = Path(tempfile.gettempdir(), f"ansatz-gpus-{os.getuid()}")
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise UserError(f"{folder}: is no folder; remove it, as it is to hold the locks of GPUs") from error
    slots = range(int(os.environ.get(SLOTS, "1")))
    for slot, (index, identity) in itertools.product(slots, enumerate(identities)):  # idle GPUs first
        lock = (folder / f"{identity}.{slot}").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            _TAKEN.append(lock)
            return index
    return None
