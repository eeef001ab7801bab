"""What all jobs inherit from the process that starts them."""

import os

from ansatz.gpus import SLOTS
from ansatz.job import STARTER

# OpenMP threads spin while they wait for each other, which takes cores from other programs and jobs. With threads that
# sleep at once (OMP_WAIT_POLICY=PASSIVE), a quiet machine is 4 to 9 % slower, hence a short spin. GNU's OpenMP, which
# PyTorch uses on Linux, reads the first variable; LLVM's, as on macOS, the second.
WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
CHOICES = {"OMP_WAIT_POLICY", *WAITING}


def set_environment(gpu_slots: int) -> None:
    """Set the environment variables that jobs inherit, here and on the nodes of a cluster.

    OpenMP reads its variables when PyTorch is imported, so that a job itself would be too late.

    Parameters
    ----------
    gpu_slots : int
        The number of jobs that share a GPU.
    """
    if not CHOICES & os.environ.keys():  # a user who has set one of them has chosen
        os.environ.update(WAITING)
    os.environ[STARTER] = str(os.getpid())
    os.environ[SLOTS] = str(gpu_slots)
