"""Mistakes in a configuration: one line that names the key, the value and what would be right, before any job."""

import pytest

from clone import refusal, small_study

PRETRAIN = {"dataset": "digits"}

MISTAKES = {
    "misspelt key": (
        {"sedes": [0]},
        "config: unknown key 'sedes'; did you mean 'seeds'? allowed are name, datasets, data_dir, initializers",
    ),
    "misspelt inner key": (
        {"training": {"learning_rte": 0.1}},
        "training: unknown key 'learning_rte'; did you mean 'learning_rate'? allowed are epochs, batch_size",
    ),
    "missing key": ({"datasets": None}, "config: 'datasets' is a required property"),
    "no name": ({"name": None}, "config: 'name' is a required property"),
    "name of a path": (
        {"name": "../elsewhere"},
        "name: '../elsewhere' does not fit; Name of this configuration, of letters",
    ),
    "name of the published": ({"name": "published"}, "name: published holds the sources' numbers"),
    "unknown initializer": (
        {"initializers": ["kaimng_normal"]},
        "initializers.0: 'kaimng_normal' is none of normal, uniform, xavier_normal",
    ),
    "no initializer": ({"initializers": []}, "initializers: [] should be non-empty"),
    "initializer twice": ({"initializers": ["nfm", "nfm"]}, "initializers: ['nfm', 'nfm'] has non-unique elements"),
    "unknown dataset": (
        {"datasets": {"cifar11": None}},
        "datasets: 'cifar11' is none of digits, mnist, fashion_mnist, emnist, qmnist, cifar10, cifar100, svhn, stl10, tiny_imagenet, imagenet32, pcam, gtsrb, dtd, fgvc_aircraft, caltech101; images of your own need",
    ),
    "no dataset": ({"datasets": {}}, "datasets: {} should be non-empty"),
    "datasets as a list": ({"datasets": ["digits"]}, "datasets: ['digits'] is not a mapping of keys to values"),
    "unknown option of a dataset": (
        {"datasets": {"digits": {"sise": 3}}},
        "datasets.digits: unknown key 'sise'; did you",
    ),
    "size without folder": (
        {"datasets": {"dtd": {"size": 48}, "digits": {"size": 32}}},
        "datasets.digits.size: only for images of your own, with the key folder, and for gtsrb, dtd, fgvc_aircraft, caltech101",
    ),
    "too small a limit": (
        {"datasets": {"digits": {"limit": 1}}},
        "datasets.digits.limit: 1 is less than the minimum of 3",
    ),
    "bad dataset name": ({"datasets": {"a/b": {"folder": "x"}}}, "datasets: 'a/b' does not fit; A name has letters"),
    "negative rate": (
        {"training": {"learning_rate": -0.1}},
        "training.learning_rate: -0.1 is less than or equal to the minimum of 0",
    ),
    "a rate as text": ({"training": {"learning_rate": "fast"}}, "training.learning_rate: 'fast' is not a number"),
    "a number as text": ({"seeds": ["3"]}, "seeds.0: '3' is not a whole number; write 3 without quotes"),
    "a rate that YAML takes for text": (
        {"training": {"learning_rate": "1e-3"}},
        "training.learning_rate: '1e-3' is not a number; write 0.001 without quotes",
    ),
    "nothing": (
        {"training": None, "datasets": {"digits": 3}},
        "datasets.digits: 3 is not a mapping of keys to values or null",
    ),
    "half an epoch": ({"training": {"epochs": 0.5}}, "training.epochs: 0.5 is not a whole number"),
    "no epochs": ({"training": {"epochs": 0}}, "training.epochs: 0 is less than the minimum of 1"),
    "momentum of one": (
        {"training": {"momentum": 1}},
        "training.momentum: 1 is greater than or equal to the maximum of 1",
    ),
    "unknown precision": ({"training": {"precision": "float16"}}, "'float16' is none of float32, bfloat16"),
    "unknown device": (
        {"device": "gpu"},
        "device: 'gpu' does not fit; auto (a GPU where there is one), cpu, cuda or cuda:N",
    ),
    "negative seed": ({"seeds": [-1]}, "seeds.0: -1 is less than the minimum of 0"),
    "unknown network": ({"network": {"name": "vgg12"}}, "network.name: 'vgg12' is none of vgg11, vgg13, vgg16, vgg19"),
    "small images": ({"network": {"image_size": 28}}, "network.image_size: 28 is less than the minimum of 32"),
    "unknown scaling": ({"covariance_scaling": "none"}, "covariance_scaling: 'none' is none of trace, released"),
    "no source": ({"source": None}, "source: missing, but nfm draw from feature matrices; give pretrain, torchvision"),
    "two sources": (
        {"source": {"pretrain": PRETRAIN, "checkpoint": {"path": "a", "classes": 2, "images": "digits"}}},
        "source: give exactly one of pretrain, torchvision, checkpoint",
    ),
    "unknown source": (
        {"source": {"imagenet": {}}},
        "source: unknown key 'imagenet'; allowed are pretrain, torchvision",
    ),
    "unknown dataset of a source": (
        {"source": {"pretrain": {"dataset": "digit"}}},
        "source.pretrain: 'digit' is no dataset; they are digits, mnist",
    ),
    "misspelt weights": (
        {"source": {"torchvision": {"weights": "vgg11", "images": "digits"}}},
        "source.torchvision.weights: 'vgg11' does not fit; As torchvision names them, such as VGG11_Weights.IMAGENET1K_V1",
    ),
    "pretrained from features": (
        {"source": {"pretrain": {"dataset": "digits", "initializer": "nfm"}}},
        "source.pretrain.initializer: 'nfm' is none of normal",
    ),
    "unknown layer": (
        {"layers": {"features.1": "features.0"}},
        "layers: 'features.1' is no convolution of vgg11; they are features.0, features.3, features.6",
    ),
    "a fraction of an image": ({"training": {"batch_size": 16.0}}, "training.batch_size: 16.0 is not a whole number"),
    "not a number": ({"training": {"learning_rate": float("nan")}}, "training.learning_rate: nan is not a number"),
    "infinite": ({"training": {"weight_decay": float("inf")}}, "training.weight_decay: inf is not a number"),
    "too large a seed": ({"seeds": [10**30]}, "is greater than the maximum of 4294967295"),
    "a key that is no text": (
        {"datasets": {3: {"folder": "x"}}},
        "datasets: the key 3 is not text; put it into quotes",
    ),
    "keys of two types": ({"network": {3: 4, "foo": 1}}, "config.network: the key 3 is not text"),
    "a line break": ({"device": "cpu\n"}, "device: 'cpu\\n' holds a brace or an unprintable character"),
    "a brace in a path": ({"data_dir": "a{b}"}, "data_dir: 'a{b}' holds a brace"),
    "a name of a file": ({"name": "report.html"}, "name: 'report.html' does not fit"),
    "a short checksum": (
        {"datasets": {"cifar10": {"sha256": "abc"}}},
        "datasets.cifar10.sha256: 'abc' does not fit",
    ),
    "data_dir is a file": ({"data_dir": __file__}, "is no folder"),
    "absent folder": (
        {"datasets": {"mine": {"folder": "nowhere"}}},
        "datasets.mine.folder: 'nowhere' is not there (looked for from /",
    ),
    "absent data_dir": ({"data_dir": "nowhere"}, "data_dir: 'nowhere' is not there"),
    "absent checkpoint": (
        {"source": {"checkpoint": {"path": "own.pt", "classes": 2, "images": "digits"}}},
        "source.checkpoint.path: 'own.pt' is not there",
    ),
    "no probes": ({"feature_matrices": {"probes": 0}}, "feature_matrices.probes: 0 is less than the minimum of 1"),
    "no memory": ({"memory": 0}, "memory: 0 is less than or equal to the minimum of 0"),
    "a guess at compile": ({"training": {"compile": "maybe"}}, "compile: 'maybe' is none of auto, true, false"),
    "a number for a switch": ({"deterministic": 1}, "deterministic: 1 is not true or false"),
    "half the precision": (
        {"feature_matrices": {"precision": "float16"}},
        "feature_matrices.precision: 'float16' is none of float32, bfloat16",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line(mistake):
    changes, expected = MISTAKES[mistake]
    assert expected in refusal(small_study(**changes))


@pytest.mark.parametrize("mistake", ["misspelt key", "unknown dataset"])
def test_snakemake_ends_with_that_line_and_nothing_else(clone, mistake):
    changes, expected = MISTAKES[mistake]
    clone.configure(**changes)
    done = clone.snakemake(check=False)
    assert done.returncode == 1
    profile, told = done.stdout.splitlines()
    assert expected in told
    assert "profile" in profile
    assert not clone.results.exists()


def test_the_published_study_is_a_grid_of_108_trainings(clone):
    plan = clone.snakemake("--dry-run", config="config/study.yaml").stdout
    assert "train                 108" in plan
    assert "fetch_weights           1" in plan


def test_every_key_has_a_default_that_is_filled_in(clone):
    clone.configure(seeds=None, network=None, feature_matrices=None, device=None)
    output = clone.snakemake("--dry-run").stdout
    assert "train                   6" in output
