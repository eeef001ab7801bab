"""Sources x datasets: the table against differences counted by hand, and what the figure shows."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ansatz.files.tables import read_csv, write_csv
from ansatz.reporting import initialization, transfer
from ansatz.reporting.figures.transfer import transfer as draw

SEEN = {"svhn": "svhn", "007": None, "cifar10": "cifar10"}  # the dataset of each source, in their order
DATASETS = ["cifar10", "svhn"]
BASELINE = "kaiming_normal"
LABELS = {"nfm": "nfm@{}", "kaiming_nfm+lsuv": "kaiming_nfm@{}+lsuv"}
DRAWN = {
    label.format(source): {"kind": kind, "source": source, "seen": seen}
    for kind, label in LABELS.items()
    for source, seen in SEEN.items()
}
DIVERGED = ("nfm@007", "svhn")


@pytest.fixture
def runs():
    """Accuracies and areas of three seeds, drawn; one initializer diverges on one dataset."""
    generator = np.random.default_rng(0)
    rows = [
        {"dataset": dataset, "initializer": initializer, "seed": seed, "status": "finished", "test_accuracy": np.nan}
        | dict(zip(["best_validation_accuracy", "area"], generator.uniform(0.5, 0.6, 2), strict=True))
        for dataset in DATASETS
        for initializer in [BASELINE, "orthogonal", *DRAWN]
        for seed in range(3)
    ]
    runs = pd.DataFrame(rows)
    gone = (runs.initializer == DIVERGED[0]) & (runs.dataset == DIVERGED[1])
    runs.loc[gone, "status"] = "diverged"
    runs.loc[gone, ["best_validation_accuracy", "area"]] = np.nan
    return runs


@pytest.fixture
def gains(runs):
    return transfer.tabulate(initialization.summarize(runs, BASELINE), runs, DRAWN)


def test_a_row_for_each_initializer_that_draws_from_a_source_and_each_dataset(gains):
    assert list(gains.initializer) == [label for label in DRAWN for _ in DATASETS]
    assert list(gains.dataset) == DATASETS * len(DRAWN)
    assert list(gains.kind.unique()) == list(LABELS)
    assert list(gains.source.unique()) == list(SEEN)
    same = {(row.source, row.dataset) for row in gains.itertuples() if row.same}
    assert same == {("svhn", "svhn"), ("cifar10", "cifar10")}


@pytest.mark.parametrize(
    ("measure", "column"), [("difference", "best_validation_accuracy"), ("area_difference", "area")]
)
def test_differences_are_paired_by_seed_with_students_interval(runs, gains, measure, column):
    values = runs.set_index(["dataset", "initializer", "seed"])[column].sort_index()
    for row in gains.to_dict("records"):
        paired = (values[row["dataset"], row["initializer"]] - values[row["dataset"], BASELINE]).to_numpy()
        half = stats.t.ppf(0.975, 2) * np.std(paired, ddof=1) / np.sqrt(3)
        expected = [paired.mean(), paired.mean() - half, paired.mean() + half]
        assert [row[f"{measure}{end}"] for end in transfer.ENDS] == pytest.approx(expected, nan_ok=True)
        assert np.isnan(row[measure]) == ((row["initializer"], row["dataset"]) == DIVERGED)


def test_the_table_repeats_the_differences_and_p_values_of_the_study(runs, gains):
    columns = ["dataset", "initializer", "difference", "difference_low", "difference_high", "p"]
    both = gains.merge(initialization.summarize(runs, BASELINE)[columns], on=columns)
    assert len(both) == len(gains)


def test_names_that_look_like_numbers_stay_text(gains, tmp_path):
    write_csv(tmp_path / "transfer.csv", gains)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "transfer.csv"), gains)


def test_a_table_for_each_kind_and_measure(gains):
    gains.loc[0, ["difference", "difference_low", "difference_high"]] = [-0.0123, -0.02, 0.00004]
    lines = transfer.to_markdown(gains).splitlines()
    titles = [line for line in lines if ": " in line and "[" not in line and not line.startswith("Mean")]
    assert titles == [f"{kind}: {title}" for kind in LABELS for title in transfer.MEASURES.values()]
    first = lines.index(titles[0])
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[first + 2 : first + 7]]
    assert cells[0] == ["source", *DATASETS]
    assert [row[0] for row in cells[2:]] == list(SEEN)
    assert cells[2][1] == "−1.23 [−2.00, +0.00]"
    assert cells[3][2] == "diverged"
    assert {(row[0], DATASETS[i]) for row in cells[2:] for i in (0, 1) if "**" in row[i + 1]} == {
        ("svhn", "svhn"),
        ("cifar10", "cifar10"),
    }


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def panels(figure):
    """Return the heat maps, (kinds, measures), without their scales."""
    return np.reshape(figure.axes[: 2 * len(LABELS)], (len(LABELS), 2))


def test_the_figure_has_a_map_for_each_kind_and_measure(gains):
    figure = draw(gains)
    maps = panels(figure)
    assert [axes.get_title(loc="left") for axes in maps[:, 0]] == list(LABELS)
    assert [label.get_text() for label in maps[0, 0].get_yticklabels()] == list(SEEN)
    assert [label.get_text() for label in maps[-1, 1].get_xticklabels()] == DATASETS
    scales = figure.axes[maps.size :]
    assert [axes.get_xlabel().partition(",\n")[0] for axes in scales] == [
        "best validation accuracy",
        "validation accuracy, mean over epochs",
    ]
    assert all("difference to kaiming_normal" in axes.get_xlabel() for axes in scales)


def test_cells_have_the_colour_and_the_text_of_their_difference(gains):
    for row, kind in zip(panels(draw(gains)), LABELS, strict=True):
        for axes, measure in zip(row, transfer.MEASURES, strict=True):
            own = gains[gains.kind == kind]
            drawn = np.ma.filled(axes.collections[0].get_array(), np.nan)  # (sources, datasets)
            assert drawn.flatten() == pytest.approx(own[measure].to_numpy(), nan_ok=True)
            low, high = axes.collections[0].get_clim()
            assert -low == high > 0, "white is no difference"
            assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first source is on top"
            expected = [
                part for one in own.to_dict("records") for part in transfer.text(one, measure, "+z.1f").split(" ", 1)
            ]
            assert texts(axes) == expected


def test_frames_are_around_what_a_source_has_seen(gains):
    for axes in panels(draw(gains)).flatten():
        assert {patch.get_xy() for patch in axes.patches} == {(1, 0), (0, 2)}


def test_bold_numbers_are_those_that_the_corrected_test_finds(gains):
    gains.loc[1, "p"] = 0.01
    for number, axes in enumerate(panels(draw(gains)).flatten()):
        bold = [text.get_text() for text in axes.texts if text.get_weight() == "bold"]
        assert bold == ([transfer.text(gains.iloc[1], "difference", "+z.1f").partition(" ")[0]] if number == 0 else [])


def test_one_difference_far_beyond_the_others_does_not_stretch_the_scale(gains):
    assert gains.difference.abs().max() < 0.1
    gains.loc[0, "difference"] = -0.9
    figure = draw(gains)
    assert panels(figure)[0, 0].collections[0].get_clim()[1] < 0.1
    assert "−90.0" in texts(panels(figure)[0, 0])


def test_a_baseline_that_draws_from_a_source_is_called_so(runs):
    baseline = "nfm@svhn"
    gains = transfer.tabulate(initialization.summarize(runs, baseline), runs, DRAWN)
    assert texts(panels(draw(gains))[0, 0])[:2] == ["baseline", "baseline"]
    assert "| svhn     | baseline" in transfer.to_markdown(gains)


def test_two_sources_one_dataset_and_one_seed_have_a_figure_too(runs):
    few = runs[(runs.seed == 0) & (runs.dataset == "svhn")]
    drawn = {label: DRAWN[label] for label in ("nfm@svhn", "nfm@cifar10")}
    gains = transfer.tabulate(initialization.summarize(few, BASELINE), few, drawn)
    figure = draw(gains)
    assert len(texts(figure.axes[0])) == 2, "means without intervals"
    nothing = draw(gains.assign(difference=np.nan, area_difference=np.nan))
    assert texts(nothing.axes[0]) == ["diverged", "diverged"]
