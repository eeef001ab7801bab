"""What all jobs inherit from the process that starts them."""

import os

from ansatz.gpus import SLOTS
from ansatz.job import STARTER


def set_environment(gpu_slots: int) -> None:
    """Set the environment variables that jobs inherit, here and on the nodes of a cluster.

    OpenMP reads its variable when PyTorch is imported, so that a job itself would be too late.

    Parameters
    ----------
    gpu_slots : int
        The number of jobs that share a GPU.
    """
    # OpenMP's threads wait for each other by computing in vain, which slows them down many times on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ[STARTER] = str(os.getpid())
    os.environ[SLOTS] = str(gpu_slots)
