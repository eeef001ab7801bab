"""What all jobs inherit from the process that starts them."""

import os

from ansatz.job import STARTER


def set_environment() -> None:
    """Set the environment variables that jobs inherit, here and on the nodes of a cluster."""
    os.environ[STARTER] = str(os.getpid())
