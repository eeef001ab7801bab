"""What holds for all tests."""

import shutil

import pytest
import torch
from hypothesis import settings

from ansatz import registry
from browsing import opening
from real_data import ARCHIVES

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# The first call of a kernel takes long, and machines are noisy: time is not what these tests are about.
settings.register_profile("ansatz", deadline=None)
settings.load_profile("ansatz")


@pytest.hookimpl(wrapper=True)  # before the hook of pytest-xdist that reads the groups
def pytest_collection_modifyitems(items):
    """Keep a file's tests in one process, but for the workflow's, which are few, long and share what they need."""
    for item in items:
        if item.path.parent.name != "workflow":
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
    return (yield)


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


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Return a function that registers what a user's file with this text defines, for one test."""
    monkeypatch.setattr(registry, "_PLUGINS", [])
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))

    def use(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        registry.use([path])

    return use


@pytest.fixture(scope="session")
def browser():
    """A browser without a window."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Return a function that opens a page offline, and records what it requests and complains about."""
    with opening(browser) as open_:
        yield open_
