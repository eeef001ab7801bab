"""What holds for all tests."""

import pytest
import torch
from hypothesis import settings

from real_data import ARCHIVES

# The first call of a kernel takes long, and machines are noisy: time is not what these tests are about.
settings.register_profile("ansatz", deadline=None)
settings.load_profile("ansatz")


@pytest.fixture(scope="module")
def one_thread():
    """Compute in one thread: arrays are small, and threads of several processes would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def archives():
    if not ARCHIVES.is_dir():
        pytest.skip(f"no real archives in {ARCHIVES} (set ANSATZ_ARCHIVES)")
    return ARCHIVES
