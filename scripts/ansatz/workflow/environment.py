"""What all jobs inherit from the process that starts them."""

import os

from ansatz.gpus import SLOTS
from ansatz.job import STARTER


def set_environment(gpu_slots: int) -> None:
    """Set the environment variables that jobs inherit, here and on the nodes of a cluster.

    Parameters
    ----------
    gpu_slots : int
        The number of jobs that share a GPU.
    """
    os.environ[STARTER] = str(os.getpid())
    os.environ[SLOTS] = str(gpu_slots)
