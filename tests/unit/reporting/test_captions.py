"""Captions of the report: that they render, and say what the figure shows."""

from types import SimpleNamespace

import jinja2
import pytest

from real_data import ROOT

CAPTIONS = sorted((ROOT / "workflow" / "report").glob("*.rst"))


def rendered(path, **wildcards):
    snakemake = SimpleNamespace(wildcards=SimpleNamespace(**wildcards), config={"name": "digits"})
    return jinja2.Template(path.read_text(), undefined=jinja2.StrictUndefined).render(snakemake=snakemake).strip()


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_captions_are_whole_sentences(path):
    text = rendered(path, figure="accuracy", training="evolution/lenet5/digits/seed0", network="cnn/cnn/digits/seed0")
    text = text.partition("\n.. ")[0].strip()  # without directives
    assert text[0].isupper()
    assert text.endswith(".")


@pytest.mark.parametrize(
    ("figure", "beginning"),
    [
        ("differences", "Mean difference of the best validation accuracy to the baseline"),
        ("activations", "How strongly the layers of each network respond"),
        ("speed", "How fast networks learn"),
        ("transfer", "What initializers gain that draw from several sources"),
        ("learning_rates", "Best validation accuracy over learning rates"),
    ],
)
def test_comparisons_say_what_they_compare(figure, beginning):
    assert rendered(ROOT / "workflow" / "report" / "comparison.rst", figure=figure).startswith(beginning)


def test_curves_say_which_metric_they_show():
    path = ROOT / "workflow" / "report" / "curves.rst"
    assert rendered(path, figure="gap").startswith("Gap over epochs: validation loss minus training loss.")
    assert rendered(path, figure="top5_accuracy").startswith("Top5 accuracy over epochs")


@pytest.mark.parametrize(
    ("figure", "beginning"),
    [
        ("spectra", "Eigenvalues of the feature matrices of each source"),
        ("alignment", "Pearson correlation of the feature matrices of two sources"),
        ("generations", "Chains of sources, each of which starts from the features of the one before."),
    ],
)
def test_sources_say_what_they_show(figure, beginning):
    text = rendered(ROOT / "workflow" / "report" / "sources.rst", figure=figure)
    assert text.startswith(beginning)
    assert text.endswith("those of the first seed.")
