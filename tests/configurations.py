"""Configurations for tests, as small as can be, and what refuses those that have mistakes."""

import pytest

from ansatz.errors import UserError
from ansatz.workflow.configuration.loading import load

TRAIN = {"train": {"dataset": "digits", "training": {"epochs": 1, "batch_size": 16}}}
CHECKPOINT = {"checkpoint": {"path": "own.pt", "classes": 2, "dataset": "digits"}}
RUN = {"run": {"dataset": "digits", "initializer": "kaiming_uniform", "seed": 0}}
STUDY = {
    "initializers": ["kaiming_uniform", "nfm"],
    "seeds": [0],
    "split": "shared",
    "source_seed": "shared",
    "network": {"width": 0.03125, "image_size": 32},
    "training": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01},
}


def configuration(**changes):
    """Return a configuration as small as can be, with these keys changed (None: removed)."""
    config = {
        "name": "test",
        "datasets": {"digits": {"limit": 60}},
        "sources": {"mine": TRAIN},
        "feature_matrices": {"sample_size": 8},
        "initialization": STUDY,
        "device": "cpu",
    } | changes
    return {key: value for key, value in config.items() if value is not None}


def study(**changes):
    """Return the changes of a configuration that change keys of `initialization`."""
    return {"initialization": STUDY | changes}


def training(**changes):
    return study(training=STUDY["training"] | changes)


def kernels(**experiment):
    return {"kernels": {"a": experiment}}


def trained(**experiment):
    return {"ansatz": {"trained": {"a": {"datasets": ["digits"], **experiment}}}}


def evolution(**experiment):
    return {"evolution": {"a": {"datasets": ["digits"], **experiment}}}


def refusal(config, **options):
    """Return the line that refuses a configuration."""
    with pytest.raises(UserError) as caught:
        load(config, **options)
    message = str(caught.value)
    assert message.startswith("config")
    assert "\n" not in message
    return message
