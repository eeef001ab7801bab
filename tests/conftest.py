"""What holds for all tests."""

import pytest
from hypothesis import settings

from real_data import ARCHIVES

# The first call of a kernel takes long, and machines are noisy: time is not what these tests are about.
settings.register_profile("ansatz", deadline=None)
settings.load_profile("ansatz")


@pytest.fixture(scope="session")
def archives():
    if not ARCHIVES.is_dir():
        pytest.skip(f"no real archives in {ARCHIVES} (set ANSATZ_ARCHIVES)")
    return ARCHIVES
