"""Real archives for the tests that need them."""

import pytest

from real_data import ARCHIVES


@pytest.fixture(scope="session")
def archives():
    if not ARCHIVES.is_dir():
        pytest.skip(f"no real archives in {ARCHIVES} (set ANSATZ_ARCHIVES)")
    return ARCHIVES
