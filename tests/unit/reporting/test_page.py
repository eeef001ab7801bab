"""The page of results: which sections it has, what their charts draw, and that it is one file that loads nothing."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from ansatz.files.tables import read_csv, write_csv
from ansatz.reporting.figures.matrices import heat_maps
from ansatz.reporting.figures.style import save
from ansatz.reporting.page import charts
from ansatz.reporting.page.blocks import make_sections
from ansatz.reporting.page.initialization import verdict
from ansatz.reporting.page.learning import MEASURES
from ansatz.reporting.page.pictures import LARGEST, nfm_of, picture, smaller, tiled
from ansatz.reporting.page.render import PARTS, render
from page_material import CONFIGURATION, everything, initialization_material, kernel_material, study

TITLES = [
    "Which initializer is best?",
    "How do they learn?",
    "At which learning rate?",
    "How fast do they learn?",
    "Which signals do they start from?",
    "Do features transfer?",
    "What do the sources hold?",
    "How alike are the sources?",
    "What does repeating it do?",
    "Do NFM and AGOP align?",
    "How do features form?",
    "Do machines learn features without backpropagation?",
    "Every run",
    "Where it comes from",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return render("mine", everything(tmp_path_factory.mktemp("page")))


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def titles_of(page):
    return re.findall(r"<h2>(.*?)</h2>", page.partition("<main>")[2].partition("</main>")[0])


def test_all_sections_appear_in_order(page):
    assert titles_of(page) == TITLES


def test_a_section_that_was_not_run_does_not_appear(tmp_path):
    page = render("mine", {"configuration": CONFIGURATION} | kernel_material(tmp_path))
    assert titles_of(page) == [TITLES[11], TITLES[13]]
    assert 'class="filters"' not in page, "there is one dataset, so there is nothing to filter by"


def test_it_loads_nothing(page):
    without_libraries = re.sub(r'<script type="module">const n=.*?</script>', "", page, count=1, flags=re.DOTALL)
    assert len(without_libraries) < len(page)
    assert re.findall(r'(?:src|href)="(?!#|data:|logs/)[^"]*"', without_libraries) == []
    assert "http" not in re.sub(r'"http://www.w3.org/[^"]*"', "", without_libraries)


def test_every_chart_has_rows_and_says_what_it_shows(page):
    data = data_of(page)
    assert len(data["charts"]) == page.count("data-chart=")
    for chart in data["charts"]:
        table = data["tables"][chart["table"]]
        rows = len(decoded(next(iter(table.values()))))
        kept = [i for i in range(rows) if all(decoded(table[key])[i] == value for key, value in chart["where"].items())]
        assert kept, chart["where"]
        for field in fields_of(chart["spec"]):
            assert field.replace("\\", "") in {*table, *made(chart["spec"])}, field
    assert not re.search(r'role="img" aria-label=""', page)


def decoded(column):
    return column if isinstance(column, list) else [column["levels"][code] for code in column["codes"]]


def fields_of(spec):
    """Yield the fields that encodings of a specification draw."""
    for part in [spec, *spec.get("layer", [])]:
        for encoding in part.get("encoding", {}).values():
            for each in encoding if isinstance(encoding, list) else [encoding]:
                if isinstance(each, dict) and "field" in each:
                    yield each["field"]


def made(spec):
    """Return the fields that transforms of a specification make."""
    transforms = [step for part in [spec, *spec.get("layer", [])] for step in part.get("transform", [])]
    return {name for step in transforms for name in [step.get("as"), *(one["as"] for one in step.get("aggregate", []))]}


def test_curves_hold_the_numbers_of_the_table(page):
    data = data_of(page)["tables"]["how-do-they-learn/epochs"]
    tidy, _ = study()
    np.testing.assert_allclose(data[MEASURES["validation_accuracy"]], 100 * tidy.validation_accuracy, rtol=1e-4)
    np.testing.assert_allclose(data[MEASURES["gap"]], tidy.validation_loss - tidy.train_loss, rtol=1e-4)
    assert decoded(data["initializer"]) == list(tidy.initializer)
    assert decoded(data["source"])[-1] == "letters"


def test_names_stay_text(tmp_path):
    name = "<script>alert('\"ü')</script>"
    material = initialization_material(tmp_path, datasets=(name,))
    page = render(name, {"configuration": CONFIGURATION} | material)
    assert name not in page
    assert "&lt;script&gt;alert(" in page
    assert set(decoded(data_of(page)["tables"]["how-do-they-learn/epochs"]["dataset"])) == {name}


def test_diverged_runs_leave_gaps_and_not_numbers(tmp_path):
    material = initialization_material(tmp_path)
    tidy = read_csv(material["tidy"])
    tidy.loc[tidy.initializer == "orthogonal", ["status", "validation_loss"]] = ["diverged", np.inf]
    tidy.to_csv(material["tidy"], index=False)
    data = data_of(render("mine", {"configuration": CONFIGURATION} | material))  # JSON has no infinity
    assert "orthogonal" not in data["tables"]["how-do-they-learn/epochs"]["initializer"]["levels"]


def test_the_verdict_names_what_differs():
    rows = [("a", 0.9, np.nan, np.nan), ("b", 0.95, 0.05, 0.01), ("c", 0.8, -0.1, 0.02), ("d", 0.91, 0.01, 0.4)]
    table = pd.DataFrame(rows, columns=["initializer", "validation_mean", "difference", "p"])
    table = table.assign(dataset="svhn", baseline="a", seeds=3, diverged=0)
    highest = "The highest mean is that of b (95.00 %)."
    assert verdict(table) == f"On svhn, b is significantly better than a, and c is worse. {highest}"
    worse = table[table.initializer != "b"]
    assert verdict(worse).startswith("On svhn, no initializer is significantly better than a, and c is worse.")
    alike = table[table.initializer.isin(["a", "d"])]
    two = pd.concat([alike, alike.assign(dataset="mnist")], ignore_index=True)
    assert verdict(two) == (
        "On svhn and mnist, no initializer differs significantly from a. "
        "The highest mean is that of d on svhn (91.00 %) and d on mnist (91.00 %)."
    )
    single_seed = table.assign(p=np.nan)
    assert verdict(single_seed) == f"On svhn, nothing can be tested without two pairs of runs that finished. {highest}"
    assert verdict(table[table.initializer == "a"]) == "", "nothing was compared"


def test_the_verdict_names_what_diverged():
    rows = [("a", 0.9, 0, np.nan), ("b", np.nan, 3, np.nan), ("c", 0.91, 1, 0.5)]
    table = pd.DataFrame(rows, columns=["initializer", "validation_mean", "diverged", "p"])
    table = table.assign(dataset="svhn", baseline="a", seeds=3, difference=0.01)
    assert "b diverged at every seed. The highest mean is that of c" in verdict(table)
    assert verdict(table.assign(diverged=3, validation_mean=np.nan, p=np.nan)) == "On svhn, all runs diverged."


def test_long_curves_are_thinned_and_say_so():
    table = pd.DataFrame({"run": np.repeat(["a", "b"], 500), "epoch": np.tile(np.arange(500), 2)})
    kept, note = charts.thinned(table, ["run"], "epoch", most=50)
    for _, own in kept.groupby("run"):
        assert own.epoch.iloc[0] == 0
        assert own.epoch.iloc[-1] == 499
        assert len(own) == 50
    early = table[(table.run == "b") | (table.epoch < 401)]
    runs = charts.thinned(early, ["run"], "epoch", most=50)[0].groupby("epoch").run.nunique()
    assert (runs[runs.index < 401] == 2).all(), "a mean over runs that were kept at different epochs would jump"
    assert note == "Of the 500 points of a line, 50 are drawn, evenly spaced."
    assert charts.thinned(table[table.epoch < 50], ["run"], "epoch", most=50)[1] == ""


def test_maps_are_tiled_a_pixel_apart():
    sheet = tiled(np.arange(3 * 2 * 2).reshape(3, 2, 2), columns=2)
    expected = np.array(
        [[0, 1, np.nan, 4, 5], [2, 3, np.nan, 6, 7], [np.nan] * 5, [8, 9, *[np.nan] * 3], [10, 11, *[np.nan] * 3]]
    )
    np.testing.assert_array_equal(sheet, expected)


def test_large_maps_are_averaged_over_blocks():
    weights = np.random.default_rng(0).normal(size=(5, 4 * LARGEST))
    np.testing.assert_allclose(nfm_of(weights), smaller(weights.T @ weights))
    assert smaller(weights).shape == (5, LARGEST)
    np.testing.assert_array_equal(smaller(weights[:, :3]), weights[:, :3])


def test_layers_that_would_be_called_alike_keep_their_names():
    names = [f"{part}.layers.encoder_layer_0.self_attention.q" for part in ("encoder", "decoder")]
    assert list(charts.shortened(pd.Series(names[:1]))) == ["0.q"]
    assert list(charts.shortened(pd.Series(names))) == names


@pytest.mark.parametrize("options", [{"initializers": ("kaiming_normal",)}, {"seeds": 1}, {"epochs": 1}], ids=str)
def test_small_studies_have_pages_too(options, tmp_path):
    material = initialization_material(tmp_path, **options)
    assert TITLES[1] in titles_of(render("mine", {"configuration": CONFIGURATION} | material))


def test_runs_that_never_reach_the_target_are_behind_all_others(tmp_path):
    material = initialization_material(tmp_path)
    speeds = read_csv(material["speed"])
    first = speeds.index[0]
    speeds.loc[first, ["status", "epochs", "target_epochs"]] = ["diverged", 1, np.nan]  # at once, and not fast
    write_csv(material["speed"], speeds)
    table = data_of(render("mine", {"configuration": CONFIGURATION} | material))["tables"][
        "how-fast-do-they-learn/speed"
    ]
    assert decoded(table["text"])[0] == "never"
    assert table["target_epochs"][0] > speeds.epochs.max()


def test_a_rate_that_diverges_is_counted_and_warned_of(tmp_path):
    material = initialization_material(tmp_path, seeds=1)
    tuning = read_csv(material["tuning"])
    tuning.loc[tuning.initializer == "orthogonal", ["status", "best_validation_accuracy"]] = ["diverged", np.nan]
    write_csv(material["tuning"], tuning)
    page = render("mine", {"configuration": CONFIGURATION} | material)
    rates = data_of(page)["tables"]["at-which-learning-rate/rates"]
    assert {count for name, count in zip(decoded(rates["initializer"]), rates["diverged"], strict=True) if count} == {1}
    assert "digits: orthogonal diverges at every learning rate tried" in page


def test_pictures_are_called_by_their_places_in_a_section(tmp_path):
    path = tmp_path / "results/ansatz/ansatz/cnn/cnn/seed0/first_layer.png"
    path.parent.mkdir(parents=True)
    save(heat_maps({"NFM": np.eye(4)}), path)
    made = picture(str(path), "ansatz")
    assert made.title == "cnn, seed0, first layer"
    assert not made.wide


def test_links_of_sections_are_unique(tmp_path):
    material = everything(tmp_path)
    read = {key: read_csv(value) if str(value).endswith(".csv") else value for key, value in material.items()}
    read["generations"] = [read_csv(path) for path in material["generations"]]
    names = [section.name for section in make_sections(PARTS, read)]
    assert len(set(names)) == len(names) == len(TITLES)
