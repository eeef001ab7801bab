"""Which datasets are compared at the published settings."""

import pytest
import yaml

from ansatz.workflow.configuration.loading import load
from ansatz.workflow.configuration.published import published_datasets
from configurations import configuration, kernels
from real_data import ROOT

STUDY = yaml.safe_load((ROOT / "config/study.yaml").read_text())
ALL = ["svhn", "cifar10", "cifar100", "tiny_imagenet"]


def datasets_of(**changes):
    """Return the datasets of the study at published settings, with these keys of `initialization` changed."""
    return published_datasets(load(STUDY | {"initialization": STUDY["initialization"] | changes}, thorough=False))


def test_the_study_is_the_published_one():
    assert datasets_of() == ALL
    assert datasets_of(seeds=[5], datasets=["svhn"], baseline="normal") == ["svhn"]


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"image_size": 32}},
        {"network": {"width": 0.5}},
        {"network": {"name": "vgg13"}},
        {"training": {"epochs": 19}},
        {"training": {"learning_rate": 0.01}},
        {"training": {"momentum": 0.8}},
        {"training": {"optimizer": "adam"}},
        {"protocol": "ansatz"},
        {"split": "run", "source_seed": "run"},
        {"source_seed": "run"},
        {"training": {}, "tuning": {}},
    ],
)
def test_other_settings_are_not_the_published_ones(changes):
    assert datasets_of(**changes) == []


def test_what_does_not_change_accuracies_does_not_matter():
    assert datasets_of(training={"metrics": ["top5_accuracy"], "compile": False}) == ALL


def test_a_part_of_a_dataset_and_images_of_ones_own_are_others(tmp_path):
    changed = STUDY | {"datasets": {"svhn": {"limit": 100}, "cifar10": {"folder": str(tmp_path)}, "cifar100": None}}
    assert published_datasets(load(changed, thorough=False)) == ["cifar100"]


def test_without_a_study_there_is_none():
    assert published_datasets(load(configuration(initialization=None, **kernels(task="bars")))) == []
