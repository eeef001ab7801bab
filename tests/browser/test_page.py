"""The page of results in a real browser: it loads nothing, and filters, sorts and shows what the tables hold."""

import pytest

from page_material import INITIALIZERS, study


def test_it_opens_without_requests_and_errors(shown, whole):
    assert [url for url in shown.requests if not url.startswith(("data:", "file:"))] == []
    assert shown.requests[0] == f"file://{whole}"
    assert shown.complaints == []
    figures = shown.page.locator("figure.chart")
    assert figures.count() == figures.locator("svg.marks, canvas.marks").count() > 20


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_screen(opened, whole, width):
    page = opened(whole, width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ends = "[...document.querySelectorAll('figure.chart svg')].map((svg) => svg.getBoundingClientRect().right)"
    assert max(page.evaluate(ends)) <= width


def test_a_filter_leaves_what_it_names(opened, whole):
    page = opened(whole).page
    tidy, _ = study()
    chart = page.locator("#how-do-they-learn figure.chart").first
    assert chart.get_attribute("data-drawn") == str((tidy.dataset == "digits").sum())

    page.locator(".filters summary").click()
    page.locator('.filters [data-filter="initializer"][data-value="orthogonal"]').click()
    page.wait_for_selector("body[data-drawn=all]")
    kept = (tidy.dataset == "digits") & (tidy.initializer == "orthogonal")
    page.wait_for_function(
        f"document.querySelector('#how-do-they-learn figure.chart').dataset.drawn === '{kept.sum()}'"
    )
    rows = page.locator("#which-initializer-is-best tbody tr:visible")
    assert {row.inner_text().split("\t")[1] for row in rows.all()} == {"orthogonal"}
    assert page.locator('#how-do-they-learn [data-value="orthogonal"]').get_attribute("aria-pressed") == "true"

    page.locator('.filters [data-filter="dataset"][data-value="letters"]').click()
    page.wait_for_function("document.querySelector('#how-do-they-learn figure.chart').hidden")
    assert rows.count() == 1

    page.locator(".reset").click()
    page.wait_for_function("!document.querySelector('#how-do-they-learn figure.chart').hidden")
    assert rows.count() == 2 * len(INITIALIZERS)


def test_filters_are_reached_and_pressed_with_the_keyboard(opened, whole):
    page = opened(whole).page
    page.locator(".filters summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.filter") == "dataset"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"


def test_a_table_sorts_by_its_numbers(shown):
    page = shown.page
    table = page.locator("#which-initializer-is-best table")
    heading = table.locator("th", has_text="best validation")

    def column():
        cells = table.locator("tbody tr td:nth-child(3)").all()
        return [float(cell.get_attribute("data-value")) for cell in cells]

    heading.locator("button").click()
    assert column() == sorted(column())
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert column() == sorted(column(), reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"


def test_the_pointer_shows_the_values_of_a_run(shown):
    page = shown.page
    page.locator("#how-do-they-learn input[type=checkbox]").check()
    chart = page.locator("#how-do-they-learn figure.chart").first
    points = chart.locator("svg .mark-symbol").last.locator("path")
    points.first.wait_for(state="attached")
    points.nth(4).scroll_into_view_if_needed()
    points.nth(4).hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    shown = dict(row.inner_text().split("\t") for row in page.locator("#vg-tooltip-element tr").all())
    shown = {key: value.strip() for key, value in shown.items()}
    tidy, _ = study()
    run = tidy[(tidy.initializer == shown["initializer"]) & (tidy.seed == int(shown["seed"]))]
    (value,) = run[(run.epoch == int(shown["epoch"])) & (run.dataset == "digits")].validation_accuracy
    assert float(shown["value"]) == pytest.approx(100 * value, rel=1e-4)


def test_another_measure_is_drawn_on_demand(opened, whole):
    page = opened(whole).page
    chart = page.locator("#how-do-they-learn figure.chart").first
    before = chart.locator("svg .mark-line path").first.get_attribute("d")
    page.locator("#how-do-they-learn select").select_option(label="validation loss")
    page.wait_for_selector("body[data-drawn=all]")
    assert chart.locator("svg .mark-line path").first.get_attribute("d") != before


def test_a_saved_chart_is_called_by_its_section_and_says_what_it_shows(opened, odd):
    page = opened(odd).page
    chart = page.locator("#how-do-they-learn figure.chart").first
    chart.locator("summary").focus()
    page.keyboard.press("Enter")
    with page.expect_download() as download:
        chart.get_by_text("Save as SVG").click()
    assert download.value.suggested_filename == "how-do-they-learn_script_alert_1_script_.svg"
    assert "validation accuracy, percent" in download.value.path().read_text(encoding="utf-8")


def test_bands_appear_where_few_lines_are_left(opened, odd):
    page = opened(odd).page
    chart = page.locator("#how-do-they-learn figure.chart").first
    bands = "figure => figure.querySelectorAll('svg .mark-area path').length"
    assert chart.evaluate(bands) == 0, "bands of 12 lines hide each other"
    for name in ("i1", "i2"):
        page.locator(f'#how-do-they-learn [data-value="{name}"]').click()
    page.wait_for_function(f"({bands})(document.querySelector('#how-do-they-learn figure.chart')) === 2")


def test_the_slider_steps_through_snapshots(shown):
    page = shown.page
    shows = page.locator(".slide-show")
    assert shows.locator("output").inner_text() == "before"
    first = shows.locator(".strip").first.locator("img")
    assert [image.is_visible() for image in first.all()] == [True, *[False] * 5]
    shows.locator("input").focus()
    page.keyboard.press("End")
    assert shows.locator("output").inner_text() == "epoch 5"
    assert [image.is_visible() for image in first.all()] == [*[False] * 5, True]


def test_names_stay_text(opened, odd):
    shown = opened(odd)
    assert shown.complaints == []
    assert shown.page.locator("main script, main img").count() == 0
    titles = shown.page.locator("#how-do-they-learn figcaption").all_inner_texts()
    assert titles == ["<script>alert('\"1\"')</script>", 'β & "γ"', "<img src=x onerror=alert(2)>"]


def test_dark_screens_get_a_dark_page(opened, whole):
    page = opened(whole, color_scheme="dark").page
    background = "getComputedStyle(document.body).backgroundColor"
    assert sum(map(int, page.evaluate(background).removeprefix("rgb(").rstrip(")").split(","))) < 150
    assert "invert" in page.evaluate("getComputedStyle(document.querySelector('.canvas')).filter")


def test_all_charts_are_there_in_print(opened, whole):
    page = opened(whole).page
    page.emulate_media(media="print")
    assert page.locator(".controls").first.is_hidden()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_thousand_runs_stay_small_and_usable(opened, large, capsys):
    """1,000 runs of 20 epochs: times are printed, as machines are noisy (``pytest -n 0 tests/browser -k thousand``)."""
    assert large.stat().st_size < 15e6
    shown = opened(large)
    assert shown.complaints == []
    page = shown.page
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.locator("#how-do-they-learn").scroll_into_view_if_needed()
    page.wait_for_selector("body[data-drawn=all]")
    took = page.evaluate("""async () => {
        const start = performance.now();
        document.querySelector('[data-filter="initializer"][data-value="i3"]').click();
        while (document.body.dataset.drawn === "some") await new Promise((resolve) => setTimeout(resolve));
        return performance.now() - start;
    }""")
    with capsys.disabled():
        print(f"\n{large.stat().st_size / 1e6:.1f} MB, first paint {first:.0f} ms, filter {took:.0f} ms")
    assert page.locator("#how-do-they-learn figure.chart").first.get_attribute("data-drawn") == str(10 * 20)
    assert page.locator("#every-run tbody tr:not([hidden])").count() == 4 * 10
