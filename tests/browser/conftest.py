"""Pages of results to be opened in a browser."""

import pytest

from ansatz.reporting.page.render import render
from browsing import opening
from page_material import BASELINE, CONFIGURATION, everything, initialization_material


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
def shown(browser, whole):
    """The page of all sections, open; for tests that change at most a section which no other one looks at."""
    with opening(browser) as open_:
        yield open_(whole)


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
