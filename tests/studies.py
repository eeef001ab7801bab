"""Configurations as small as can be."""

import copy

TRAINING = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}
ADAM = TRAINING | {"optimizer": "adam"}
GREY = {"image_size": 32, "in_channels": 1, "width": 0.05}

STUDY = {
    "name": "test",
    "datasets": {"digits": {"limit": 60}},
    "sources": {"digits": {"train": {"dataset": "digits", "training": {"epochs": 1, "batch_size": 16}}}},
    "initialization": {
        "initializers": ["kaiming_uniform", "nfm"],
        "seeds": [0],
        "split": "shared",
        "source_seed": "shared",
        "network": {"width": 0.03125, "image_size": 32},
        "training": TRAINING,
    },
    "feature_matrices": {"sample_size": 8},
    "device": "cpu",
}

SECTIONS = {
    "ansatz": {
        "trained": {
            "lenet": {"datasets": ["digits"], "network": {"name": "lenet5", **GREY}, "training": ADAM},
            "sweep": {
                "datasets": ["digits"],
                "network": {"name": "cnn", "depth": 2, **GREY},
                "vary": {"patch_size": [3, 5], "pooling": ["max"]},
                "initializer": {"normal": {"std": 0.1}},
                "training": ADAM,
            },
        }
    },
    "evolution": {
        "lenet": {"datasets": ["digits"], "network": {"name": "lenet5", **GREY}, "steps": [1], "training": ADAM}
    },
    "kernels": {
        "bars": {
            "task": "bars",
            "noise": [1],
            "train": 30,
            "test": 20,
            "machines": ["cntk", "convrfm"],
            "iterations": 1,
            "sample_size": 4,
            "depth": 2,
        }
    },
    "pictures": [0, "china"],
}


def small_study(**changes):
    """Return the study alone, with these keys changed; sections key by key (None: removed)."""
    return changed(STUDY, changes)


def all_sections(**changes):
    """Return a configuration of all four sections, with these keys changed; sections key by key (None: removed)."""
    return changed(STUDY | SECTIONS, changes)


def changed(config, changes):
    """Return a copy with keys changed: of a mapping only those named, and none where the new value is None."""
    config = copy.deepcopy(config)
    for key, value in changes.items():
        if value is None:
            config.pop(key, None)
        elif key in ("initialization", "feature_matrices") and isinstance(value, dict):
            config[key] = changed(config.get(key, {}), value)
        else:
            config[key] = copy.deepcopy(value)
    return config
