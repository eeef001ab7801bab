"""A browser without a window, and pages of results in it."""

import shutil
from types import SimpleNamespace

import pytest

from ansatz.reporting.page.render import render
from page_material import BASELINE, CONFIGURATION, everything, initialization_material

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAWN = "body[data-drawn=all]"
LOUD = ("error", "warning")


@pytest.fixture(scope="session")
def browser():
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
    """Return a function that opens a file offline, and records what it requests and complains about."""
    contexts = []

    def open_(file, width=1400, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        contexts.append(context)
        page, requests, complaints = context.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type in LOUD else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
        page.goto(f"file://{file}")
        page.wait_for_selector(DRAWN, timeout=60_000)
        return SimpleNamespace(page=page, requests=requests, complaints=complaints)

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return the file of a page with all sections."""
    return _written(tmp_path_factory, lambda folder: everything(folder))


@pytest.fixture(scope="session")
def odd(tmp_path_factory):
    """Return the file of a page of many initializers, whose datasets have names that are no names in HTML."""
    names = ("<script>alert('\"1\"')</script>", 'β & "γ"', "<img src=x onerror=alert(2)>")
    grid = {"datasets": names, "initializers": (BASELINE, *(f"i{number}" for number in range(1, 12)))}
    return _written(tmp_path_factory, lambda folder: initialization_material(folder, **grid))


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """Return the file of a page with 1,000 runs: 4 datasets, 25 initializers, 10 seeds, 20 epochs."""
    grid = {"datasets": tuple("abcd"), "initializers": (BASELINE, *(f"i{number}" for number in range(1, 25)))}
    return _written(tmp_path_factory, lambda folder: initialization_material(folder, **grid, seeds=10, epochs=20))


def _written(tmp_path_factory, material):
    folder = tmp_path_factory.mktemp("page")
    file = folder / "index.html"
    file.write_text(render("mine", {"configuration": CONFIGURATION} | material(folder)), encoding="utf-8")
    return file
