"""Mistakes in a configuration: each is one line that names the key, the value and what would be right."""

import math

import pytest

from ansatz.files.hashing import checksum
from ansatz.workflow.configuration.loading import load
from configurations import (
    CHECKPOINT,
    RUN,
    TRAIN,
    configuration,
    evolution,
    kernels,
    refusal,
    study,
    trained,
    training,
)
from real_data import ROOT

MISTAKES = {
    # keys and their types
    "misspelt key": ({"theads": 2}, "config: unknown key 'theads'; did you mean 'threads'? allowed are name, plugins"),
    "misspelt inner key": (
        training(learning_rte=0.1),
        "config.initialization.training: unknown key 'learning_rte'; did you mean 'learning_rate'? allowed are epochs",
    ),
    "key of a section": (
        {"seeds": [0]},
        "config: unknown key 'seeds'; it belongs in initialization, ansatz.trained.<name>, evolution.<name> or kernels",
    ),
    "misspelt key of a section": (
        {"sedes": [0]},
        "config: unknown key 'sedes'; did you mean 'seeds'? it belongs in init",
    ),
    "old key": ({"source": {}}, "config: unknown key 'source'; did you mean 'sources'?"),
    "missing key": ({"datasets": None}, "config: the key 'datasets' is missing; the datasets, each with its options"),
    "no name": ({"name": None}, "config: the key 'name' is missing"),
    "nothing to run": ({"initialization": None}, "config: nothing to run; give at least one of initialization, ansatz"),
    "a key that is no text": ({"datasets": {3: {}}}, "config.datasets: the key 3 is not text; put it into quotes"),
    "keys of two types": (study(network={3: 4, "foo": 1}), "config.initialization.network: the key 3 is not text"),
    "a line break": ({"device": "cpu\n"}, "config.device: 'cpu\\n' holds a brace or an unprintable character"),
    "a brace in a path": ({"data_dir": "a{b}"}, "config.data_dir: 'a{b}' holds a brace"),
    "a list for a mapping": ({"sources": [TRAIN]}, "config.sources: "),
    "a number for a section": ({"initialization": 3}, "config.initialization: 3 is not a mapping of keys to values"),
    "a number for a switch": ({"deterministic": 1}, "config.deterministic: 1 is not true or false"),
    "true for a number": ({"threads": True}, "config.threads: true is not a whole number"),
    "unknown device": ({"device": "gpu"}, "config.device: 'gpu' does not fit; it is auto, cpu, cuda or cuda:N"),
    "no memory": ({"memory": 0}, "config.memory: 0 is too small; it must be above 0"),
    "half the precision": (
        {"precision": "float16"},
        "config.precision: 'float16' is none of float32, bfloat16; did you mean 'bfloat16'?",
    ),
    "no probes": ({"feature_matrices": {"probes": 0}}, "config.feature_matrices.probes: 0 is too small; it must be at"),
    # names, files
    "name of a path": (
        {"name": "../elsewhere"},
        "config.name: '../elsewhere' does not fit; a name has letters, digits",
    ),
    "name of the published": ({"name": "published"}, "config.name: published holds the sources' numbers"),
    "name of a file": ({"name": "report.html"}, "config.name: 'report.html' does not fit"),
    "name that is a number": ({"name": 3}, "config.name: 3 is not text"),
    "name that is too long": (
        {"name": "a" * 101},
        "does not fit; a name has letters, digits, - and _, and at most 100",
    ),
    "data_dir is a file": ({"data_dir": __file__}, "test_configuration_mistakes.py' is no folder"),
    "absent data_dir": ({"data_dir": "nowhere"}, "config.data_dir: 'nowhere' is not there (looked for from /"),
    "empty data_dir": ({"data_dir": ""}, "config.data_dir: '' is empty"),
    "absent folder": (
        {"datasets": {"mine": {"folder": "nowhere"}}},
        "config.datasets.mine.folder: 'nowhere' is not there (looked for from /",
    ),
    "absent picture": ({"pictures": ["nowhere.jpg"]}, "config.pictures.0: 'nowhere.jpg' is not there"),
    "picture that is a folder": ({"pictures": ["config"]}, "config.pictures.0: 'config' is a folder; name its images"),
    "another style": (
        {"figures": {"style": "papers"}},
        "config.figures.style: 'papers' is none of screen, paper; did you mean 'paper'?",
    ),
    "a style alone": ({"figures": "paper"}, "config.figures: 'paper' is not a mapping of keys to values"),
    "figures' other key": ({"figures": {"styl": "paper"}}, "config.figures: unknown key 'styl'; did you mean 'style'?"),
    "picture twice": ({"pictures": [0, 1, 0]}, "config.pictures: 0 is listed twice"),
    "pictures of one name": (
        {"pictures": [0, "0.png"]},
        "config.pictures.1: '0.png' is not there",
    ),
    "a negative picture": ({"pictures": [-1]}, "config.pictures.0: -1 is not a file, china, flower or the number of"),
    "absent plugin": ({"plugins": ["nowhere.py"]}, "config.plugins.0: 'nowhere.py' is not there (looked for from /"),
    "plugin that is no Python": (
        {"plugins": ["README.md"]},
        "config.plugins.0: 'README.md' is no Python file; its name has to end in .py",
    ),
    # datasets
    "unknown dataset": (
        {"datasets": {"cifar11": None}},
        "config.datasets: 'cifar11' is none of ",
    ),
    "unknown dataset, nearly": ({"datasets": {"cifar11": None}}, "did you mean 'cifar10'?; images of your own need"),
    "no dataset": ({"datasets": {}}, "config.datasets: {} is empty; name at least one"),
    "datasets as a list": ({"datasets": ["digits"]}, "config.datasets: ['digits'] is not a mapping of keys to values"),
    "options of a dataset as a number": (
        {"datasets": {"digits": 3}},
        "config.datasets.digits: 3 is not a mapping of keys to values",
    ),
    "unknown option of a dataset": (
        {"datasets": {"digits": {"sise": 3}}},
        "config.datasets.digits: unknown key 'sise'; did you mean 'size'?",
    ),
    "size without folder": (
        {"datasets": {"dtd": {"size": 48}, "digits": {"size": 32}}},
        "config.datasets.digits.size: only for images of your own, with the key folder, and for ",
    ),
    "address without archives": (
        {"datasets": {"digits": {"url": "http://a"}}},
        "config.datasets.digits.url: the dataset has no archives; leave the key out",
    ),
    "an address with a password": (
        {"datasets": {"cifar10": {"url": "https://ada:secret@example.org/cifar.tar.gz"}}},
        "config.datasets.cifar10.url: holds a name or password, which logs and results would show; put them into ",
    ),
    "one address for several archives": (
        {"datasets": {"mnist": {"url": "http://a"}}},
        "config.datasets.mnist.url: give one for each file: train-images-idx3-ubyte.gz, ",
    ),
    "checksum of an unknown archive": (
        {"datasets": {"cifar10": {"sha256": {"cifar-10-python.tar": "0" * 64}}}},
        "config.datasets.cifar10.sha256: 'cifar-10-python.tar' is none of cifar-10-python.tar.gz; did you mean",
    ),
    "weights that are a folder": (
        {"sources": {"a": {"checkpoint": CHECKPOINT["checkpoint"] | {"path": "config"}}}},
        "config.sources.a.checkpoint.path: 'config' is a folder; name a file in it",
    ),
    "too small a limit": (
        {"datasets": {"digits": {"limit": 1}}},
        "config.datasets.digits.limit: 1 is too small; it must be at least 3",
    ),
    "bad dataset name": ({"datasets": {"a/b": {"folder": "x"}}}, "config.datasets.a/b: 'a/b' does not fit; a name has"),
    "a short checksum": (
        {"datasets": {"cifar10": {"sha256": "abc"}}},
        "config.datasets.cifar10.sha256: 'abc' is not a SHA-256 of 64 digits, or a mapping of file to such",
    ),
    "an address that is a number": ({"datasets": {"cifar10": {"url": 3}}}, "config.datasets.cifar10.url: 3 is not an"),
    "dataset of a section": (
        study(datasets=["digit"]),
        "config.initialization.datasets.0: 'digit' is no dataset; did you mean 'digits'?; they are ",
    ),
    # initialization
    "unknown initializer": (
        study(initializers=["kaimng_normal"]),
        "config.initialization.initializers.0: 'kaimng_normal' is none of ",
    ),
    "unknown initializer, nearly": (study(initializers=["kaimng_normal"]), "did you mean 'kaiming_normal'?"),
    "no initializer": (study(initializers=[]), "config.initialization.initializers: [] is empty; name at least one"),
    "initializer twice": (
        study(initializers=["nfm", "nfm"]),
        "config.initialization.initializers: nfm is listed twice",
    ),
    "initializer that is a number": (
        study(initializers=[3]),
        "config.initialization.initializers.0: 3 is neither a name nor a mapping of one name to its options",
    ),
    "two initializers in a mapping": (
        study(initializers=[{"normal": {}, "uniform": {}}]),
        "config.initialization.initializers.0: {'normal': {}, 'uniform': {}} does not fit; give one name",
    ),
    "no machine in a mapping": (
        kernels(task="bars", machines=["cntk", {}]),
        "config.kernels.a.machines.1: {} does not fit; give one name with its options: {convrfm: {iterations: 3}}",
    ),
    "option that an initializer has not": (
        study(initializers=[{"normal": {"sdt": 0.1}}]),
        "config.initialization.initializers.0.normal: unknown key 'sdt'; did you mean 'std'? allowed are std, ",
    ),
    "options of an initializer without": (
        study(initializers=[{"xavier_normal": {"std": 0.1}}]),
        "config.initialization.initializers.0.xavier_normal: unknown key 'std'; there are no options",
    ),
    "option out of range": (
        study(initializers=[{"normal": {"std": -1}}]),
        "config.initialization.initializers.0.normal.std: -1 is too small; it must be above 0",
    ),
    "options as a number": (
        study(initializers=[{"normal": 0.1}]),
        "config.initialization.initializers.0.normal: 0.1 is not a mapping of options to values",
    ),
    "the same options in another notation": (
        study(initializers=[{"normal": {"std": 1}}, {"normal": {"std": 1.0}}]),
        "config.initialization.initializers: normal_std-1 is listed twice",
    ),
    "a baseline that is not compared": (
        study(baseline="kaiming_unifrom"),
        "config.initialization.baseline: 'kaiming_unifrom' is none of kaiming_uniform, nfm; did you mean 'kaiming_unif",
    ),
    "a baseline without its options": (
        study(initializers=["nfm", {"normal": {"std": 0.02}}], baseline="normal"),
        "config.initialization.baseline: 'normal' is none of nfm, normal_std-0.02",
    ),
    "a baseline with options": (
        study(baseline={"normal": {"std": 0.02}}),
        "config.initialization.baseline: {'normal': {'std': 0.02}} is not text",
    ),
    "a number as text": (study(seeds=["3"]), "seeds.0: '3' is not a whole number; write 3 without quotes"),
    "negative seed": (study(seeds=[-1]), "config.initialization.seeds.0: -1 is too small; it must be at least 0"),
    "too large a seed": (study(seeds=[10**30]), "is too large; it must be at most 4294967295"),
    "unknown protocol": (study(protocol="none"), "protocol: 'none' is none of ansatz, released"),
    # networks
    "unknown network": (study(network={"name": "vgg12"}), "config.initialization.network.name: 'vgg12' is none of "),
    "no network of timm": (study(network={"name": "timm/"}), "network.name: 'timm/' is none of "),
    "a network that is no text": (study(network={"name": 11}), "config.initialization.network.name: 11 is none of "),
    "nearly a network of torchvision": (study(network={"name": "densenet12"}), "did you mean 'densenet121'?"),
    "a width of torchvision": (
        study(network={"name": "densenet121", "width": 0.5}),
        "config.initialization.network.width: 0.5, but densenet121 has no width; leave it out",
    ),
    "grey images of torchvision": (
        study(network={"name": "densenet121", "in_channels": 1}),
        "config.initialization.network.in_channels: 1, but densenet121 takes 3 channels",
    ),
    "an option of torchvision": (
        study(network={"name": "densenet121", "depth": 3}),
        "config.initialization.network.depth: densenet121 has no depth; cnn, mlp and vit have",
    ),
    "unknown network, nearly": (study(network={"name": "vgg12"}), "did you mean 'vgg1"),
    "tiny images": (study(network={"image_size": 7}), "network.image_size: 7 is too small; it must be at least 8"),
    "small images": (
        study(network={"image_size": 28}),
        "config.initialization.network.image_size: 28 is too small for vgg11; it must be at least 32",
    ),
    "small images of a source": (
        {"sources": {"mine": {"train": {**TRAIN["train"], "network": {"name": "convnext_tiny", "image_size": 28}}}}},
        "config.sources.mine.train.network.image_size: 28 is too small for convnext_tiny; it must be at least 32",
    ),
    "small images of an experiment": (
        evolution(network={"name": "convmixer", "stride": 16, "image_size": 15}),
        "config.evolution.a.network.image_size: 15 is too small for convmixer; it must be at least 16",
    ),
    "two channels": (study(network={"in_channels": 2}), "network.in_channels: 2 is none of 1, 3"),
    "true for a channel": (study(network={"in_channels": True}), "network.in_channels: true is none of 1, 3"),
    "misspelt key of a network": (study(network={"widht": 1}), "unknown key 'widht'; did you mean 'width'?"),
    "an option of another network": (
        evolution(network={"name": "lenet5", "depth": 3}),
        "config.evolution.a.network.depth: lenet5 has no depth; cnn, mlp and vit have",
    ),
    "an option out of range": (
        evolution(network={"name": "cnn", "depth": 21}),
        "config.evolution.a.network.depth: 21 is too large; it must be at most 20",
    ),
    "varying an option of another network": (
        trained(vary={"pooling": ["max"]}),
        "config.ansatz.trained.a.vary.pooling: vgg11 has no pooling; cnn and vit have",
    ),
    "varying to a wrong value": (
        trained(network={"name": "cnn"}, vary={"pooling": ["max", "maximum"]}),
        "config.ansatz.trained.a.vary.pooling.1: 'maximum' is none of none, average, max; did you mean 'max'?",
    ),
    "varying the network": (
        trained(vary={"name": ["vgg11"]}),
        "config.ansatz.trained.a.vary.name: networks do not vary",
    ),
    "a value twice": (trained(vary={"width": [1, 1.0]}), "config.ansatz.trained.a.vary.width: 1 is listed twice"),
    # training
    "negative rate": (training(learning_rate=-0.1), "training.learning_rate: -0.1 is too small; it must be above 0"),
    "a rate as text": (training(learning_rate="fast"), "training.learning_rate: 'fast' is not a number"),
    "a rate that YAML takes for text": (
        training(learning_rate="1e-3"),
        "training.learning_rate: '1e-3' is not a number; write 0.001 without quotes",
    ),
    "a fraction of an image": (training(batch_size=16.0), "training.batch_size: 16 is not a whole number"),
    "a number of images as text": (
        training(batch_size="1e2"),
        "training.batch_size: '1e2' is not a whole number; write 100 without quotes",
    ),
    "no whole number as text": (training(batch_size="1e30"), "training.batch_size: '1e30' is not a whole number"),
    "half an epoch": (training(epochs=0.5), "training.epochs: 0.5 is not a whole number"),
    "no epochs": (training(epochs=0), "training.epochs: 0 is too small; it must be at least 1"),
    "momentum of one": (training(momentum=1), "training.momentum: 1 is too large; it must be below 1"),
    "not a number": (training(learning_rate=math.nan), "training.learning_rate: nan is not a number"),
    "more images than there are": (
        training(batch_size=10**30),
        f"training.batch_size: {10**30} is too large; it must be at most 10000000",
    ),
    "a rate that overflows": (training(learning_rate=1e39), "it must be at most 10000000"),
    "a side of kilometres": (
        {"datasets": {"digits": {"size": 10**12}}},
        "config.datasets.digits.size: 1000000000000 is too large; it must be at most 4096",
    ),
    "too many threads": ({"threads": 10**9}, "config.threads: 1000000000 is too large; it must be at most 1024"),
    "too many patches": (
        kernels(task="bars", sample_size=10**30),
        f"config.kernels.a.sample_size: {10**30} is too large; it must be at most 10000000",
    ),
    "infinite": (training(weight_decay=math.inf), "training.weight_decay: inf is not a number"),
    "a guess at compile": (training(compile="maybe"), "training.compile: 'maybe' is none of auto, true, false"),
    "one for true": (training(compile=1), "training.compile: 1 is none of auto, true, false"),
    "unknown metric": (training(metrics=["top6"]), "training.metrics.0: 'top6' is none of "),
    "momentum with adam": (
        training(optimizer="adam", momentum=0.5),
        "config.initialization.training.momentum: 0.5, but adam has no momentum; sgd has",
    ),
    "epsilon with sgd": (
        training(epsilon=0.1),
        "config.initialization.training.epsilon: 0.1, but sgd has no epsilon; adam, adamw and adadelta have",
    ),
    "milestones beyond the epochs": (
        training(milestones=[1, 9]),
        "config.initialization.training.milestones.1: 9 has no effect in 2 epochs; it must be below 2",
    ),
    "milestones of a cosine": (
        training(schedule="cosine", milestones=[1]),
        "config.initialization.training.milestones: [1], but cosine has no milestones; step has",
    ),
    "gamma of a constant rate": (
        training(schedule="constant", gamma=0.5),
        "config.initialization.training.gamma: 0.5, but constant has no gamma; step has",
    ),
    "unknown schedule": (
        training(schedule="cosin"),
        "training.schedule: 'cosin' is none of constant, step, cosine; did you mean 'cosine'?",
    ),
    "nothing but a warm-up": (
        training(warmup=2),
        "config.initialization.training.warmup: 2 epochs of 2; it must be below 2",
    ),
    "a negative warm-up": (training(warmup=-1), "training.warmup: -1 is too small; it must be at least 0"),
    "gradients of no length": (
        training(gradient_clipping=0),
        "config.initialization.training.gradient_clipping: 0 is too small; it must be above 0",
    ),
    "layers that the network does not have": (
        study(network={"name": "vgg11", "image_size": 32, "layers": ["features.*", "head"]}),
        "config.initialization.network.layers: 'head' fits none of features.0, ",
    ),
    "no layers": (
        study(network={"name": "vgg11", "image_size": 32, "layers": []}),
        "config.initialization.network.layers: [] is empty; name at least one",
    ),
    "images of another size than torchvision's transformer takes": (
        study(network={"name": "vit_b_32", "image_size": 256}),
        "config.initialization.network.image_size: 256 does not fit vit_b_32, which takes 224",
    ),
    "patches that vary and do not fill the images": (
        {
            "ansatz": {
                "trained": {
                    "a": {
                        "datasets": ["digits"],
                        "network": {"name": "vit", "image_size": 28},
                        "vary": {"patch_size": [4, 5]},
                    }
                }
            }
        },
        "config.ansatz.trained.a.vary.patch_size.1: network.patch_size: 5 px do not divide images of 28 px",
    ),
    "patches that do not fill the images": (
        study(network={"name": "vit", "image_size": 28, "patch_size": 5}),
        "config.initialization.network.patch_size: 5 px do not divide images of 28 px",
    ),
    "labels without a label": (
        training(label_smoothing=1),
        "training.label_smoothing: 1 is too large; it must be below 1",
    ),
    "an unknown augmentation": (
        training(augment={"flp": True}),
        "training.augment: unknown key 'flp'; did you mean 'flip'? allowed are flip, crop",
    ),
    "a number for a flip": (training(augment={"flip": 1}), "training.augment.flip: 1 is not true or false"),
    "a negative crop": (
        training(augment={"crop": -4}),
        "training.augment.crop: -4 is too small; it must be",
    ),
    "a switch for augmentation": (training(augment=True), "training.augment: true is not a mapping of keys to values"),
    "more patience than epochs": (
        training(early_stopping=2),
        "config.initialization.training.early_stopping: 2 epochs have no effect in 2; it must be below 2",
    ),
    "images shifted out of sight": (
        training(augment={"crop": 32}),
        "config.initialization.training.augment.crop: 32, but images have 32 px; it must be below 32",
    ),
    "no patience": (training(early_stopping=0), "training.early_stopping: 0 is too small; it must be at least 1"),
    "a batch larger than the dataset": (
        training(batch_size=64),
        "config.initialization.training.batch_size: 64 is more than the ",
    ),
    "a batch larger than the source's dataset": (
        {"sources": {"mine": {"train": {"dataset": "digits", "training": {"batch_size": 64}}}}},
        "config.sources.mine.train.training.batch_size: 64 is more than the ",
    ),
    # sources
    "no source": (
        {"sources": None},
        "config.sources: missing, but nfm in initialization.initializers.1 draws from feature matrices; add a source",
    ),
    "two kinds of a source": (
        {"sources": {"mine": {**TRAIN, **CHECKPOINT}}},
        "config.sources.mine: give exactly one of train, initial, run, torchvision, checkpoint or features",
    ),
    "no kind of a source": (
        {"sources": {"mine": {}}},
        "config.sources.mine: give exactly one of train, initial, run, torchvision, checkpoint or",
    ),
    "unknown kind of a source": (
        {"sources": {"mine": {"pretrain": {}}}},
        "config.sources.mine: unknown key 'pretrain'; did you mean 'train'? allowed are train, initial, run",
    ),
    "unknown dataset of a source": (
        {"sources": {"mine": {"train": {"dataset": "digit"}}}},
        "config.sources.mine.train.dataset: 'digit' is no dataset; did you mean 'digits'?",
    ),
    "no dataset of a source": (
        {"sources": {"mine": {"train": {}}}},
        "config.sources.mine.train: the key 'dataset' is missing; dataset that it is trained on",
    ),
    "absent checkpoint": (
        {"sources": {"mine": CHECKPOINT}},
        "config.sources.mine.checkpoint.path: 'own.pt' is not there",
    ),
    "absent feature matrices": (
        {"sources": {"mine": {"features": {"path": "own.h5"}}}},
        "config.sources.mine.features.path: 'own.h5' is not there",
    ),
    "a run without a study": (
        {"sources": {"mine": RUN}, "initialization": None, **trained(initializer="nfm")},
        "config.sources.mine.run: there is no section initialization, of which it could be a run",
    ),
    "a run whose weights are not kept": (
        {"sources": {"mine": RUN}},
        "config.sources.mine.run: the study keeps no weights; set initialization.keep_weights to best or last",
    ),
    "a run of another initializer": (
        {"sources": {"mine": {"run": RUN["run"] | {"initializer": "kaiming_unifrm"}}}, **study(keep_weights="best")},
        "config.sources.mine.run.initializer: 'kaiming_unifrm' is none of kaiming_uniform, nfm; did you mean",
    ),
    "a run of another seed": (
        {"sources": {"mine": {"run": RUN["run"] | {"seed": 1}}}, **study(keep_weights="best")},
        "config.sources.mine.run.seed: 1 is none of 0",
    ),
    "a run that draws from itself": (
        {"sources": {"mine": {"run": RUN["run"] | {"initializer": "nfm"}}}, **study(keep_weights="best")},
        "config.sources: circle: mine -> mine; one of them has to start without features of the others",
    ),
    "a run that has seen validation images": (
        {"sources": {"mine": RUN}, **study(keep_weights="best", split="run", source_seed="run")},
        "config.sources.mine.run: reads images of digits that runs validate on, as split is run; set initialization.",
    ),
    "an unknown way to resize": (study(resize="both"), "resize: 'both' is none of none, spatial, channels"),
    "an unknown epoch of weights": (study(keep_weights="first"), "keep_weights: 'first' is none of best, last, none"),
    "feature matrices with another checksum": (
        {"sources": {"mine": {"features": {"path": "Makefile", "sha256": "0" * 64}}}},
        f"config.sources.mine.features.sha256: {'0' * 64}, but that of Makefile is {checksum(ROOT / 'Makefile')}",
    ),
    "weights with another checksum": (
        {
            "ansatz": {
                "pretrained": {
                    "dataset": "digits",
                    "checkpoints": {"own": {"path": "Makefile", "classes": 2, "sha256": "0" * 64}},
                }
            }
        },
        f"config.ansatz.pretrained.checkpoints.own.sha256: {'0' * 64}, but that of Makefile is ",
    ),
    "a checksum that is none": (
        {"sources": {"mine": {"features": {"path": "Makefile", "sha256": "abc"}}}},
        "config.sources.mine.features.sha256: 'abc' does not fit; a SHA-256 has 64 hexadecimal digits",
    ),
    "an unknown normalisation": (
        {"sources": {"mine": {"checkpoint": {"path": "Makefile", "normalisation": "imagenet"}}}},
        "config.sources.mine.checkpoint.normalisation: 'imagenet' is not dataset, or {mean: ..., std: ...}",
    ),
    "torchvision's normalisation of other weights": (
        {"sources": {"mine": {"checkpoint": {"path": "Makefile", "normalisation": "weights"}}}},
        "config.sources.mine.checkpoint.normalisation: 'weights' is not dataset, or {mean: ..., std: ...}",
    ),
    "means without deviations": (
        {"sources": {"mine": {"checkpoint": {"path": "Makefile", "normalisation": {"mean": [0.5]}}}}},
        "config.sources.mine.checkpoint.normalisation: the key 'std' is missing",
    ),
    "more means than deviations": (
        {"sources": {"mine": {"checkpoint": {"path": "Makefile", "normalisation": {"mean": [0, 0, 0], "std": [1]}}}}},
        "config.sources.mine.checkpoint.normalisation: 3 means and 1 deviations; give one or three of each",
    ),
    "means of colours for grey images": (
        {
            "sources": {
                "mine": {
                    "checkpoint": {
                        "path": "Makefile",
                        "network": {"in_channels": 1},
                        "normalisation": {"mean": [0, 0, 0], "std": [1, 1, 1]},
                    }
                }
            }
        },
        "config.sources.mine.checkpoint.normalisation.mean: 3 means, but the network takes 1 channel",
    ),
    "nothing that is pretrained": (
        {"ansatz": {"pretrained": {"dataset": "digits"}}},
        "config.ansatz.pretrained: give at least one of weights and checkpoints",
    ),
    "an absent pretrained checkpoint": (
        {"ansatz": {"pretrained": {"dataset": "digits", "checkpoints": {"own": {"path": "own.pt", "classes": 2}}}}},
        "config.ansatz.pretrained.checkpoints.own.path: 'own.pt' is not there",
    ),
    "a pretrained checkpoint without classes": (
        {"ansatz": {"pretrained": {"dataset": "digits", "checkpoints": {"own": {"path": "Makefile"}}}}},
        "config.ansatz.pretrained.checkpoints.own: the key 'classes' is missing; its number of classes",
    ),
    "half of what AGOP needs": (
        {"sources": {"mine": {"checkpoint": {"path": "config/config.yaml", "classes": 2}}}},
        "config.sources.mine.checkpoint: dataset is missing; AGOP takes classes and dataset, and NFM neither: leave "
        "classes out",
    ),
    "AGOP of convolutions alone": (
        {"sources": {"mine": {"checkpoint": {"path": "config/config.yaml"}}}} | study(initializers=["nfm", "agop"]),
        "config.initialization.initializers.1: 'agop' draws from AGOP, which is averaged over images, but ",
    ),
    "a source that reads validation images": (
        study(split="run"),
        "config.initialization.source_seed: shared, but the source mine reads images of digits that runs validate on, "
        "as split is run; set both to run, or both to shared",
    ),
    "a source of a source that reads validation images": (
        {
            "sources": {"a": TRAIN, "b": {"train": {"dataset": "mnist", "initializer": "nfm@a"}}},
            **study(split="run", initializers=["normal", "nfm@b"]),
        },
        "config.initialization.source_seed: shared, but the source a reads images of digits that runs validate on, ",
    ),
    "an unknown split": (
        study(split="random"),
        "config.initialization.split: 'random' is none of run, shared",
    ),
    "a learning rate beside tuning": (
        study(tuning={"learning_rates": [0.01]}),
        "config.initialization.training.learning_rate: 0.01 has no effect with tuning; leave it out",
    ),
    "tuning with a seed of the study": (
        study(tuning={"seeds": [7, 0]}, training={"epochs": 2, "batch_size": 16}),
        "config.initialization.tuning.seeds.1: 0 is a seed of the study too; rates chosen with it",
    ),
    "no learning rates to choose from": (
        study(tuning={"learning_rates": []}, training={"epochs": 2, "batch_size": 16}),
        "config.initialization.tuning.learning_rates: [] is empty; name at least one",
    ),
    "the same learning rate twice": (
        study(tuning={"learning_rates": [0.01, 0.01]}, training={"epochs": 2, "batch_size": 16}),
        "config.initialization.tuning.learning_rates",
    ),
    "a learning rate of 0": (
        study(tuning={"learning_rates": [0.01, 0]}, training={"epochs": 2, "batch_size": 16}),
        "config.initialization.tuning.learning_rates.1: 0 is too small; it must be above 0",
    ),
    "unknown source": (
        study(initializers=["nfm@mime"]),
        "config.initialization.initializers.0: 'nfm@mime': the source 'mime' is none of mine; did you mean 'mine'?",
    ),
    "a source where none is needed": (
        study(initializers=["normal@mine"]),
        "config.initialization.initializers.0: 'normal@mine' does not fit; normal draws from no feature matrices",
    ),
    "a source without a name": (
        study(initializers=["nfm@"]),
        "'nfm@' does not fit; it takes the name of a source after",
    ),
    "several sources": (
        {"sources": {"a": TRAIN, "b": TRAIN}},
        "config.initialization.initializers.1: 'nfm' may draw from several sources; write nfm@a or nfm@b",
    ),
    "the same source twice": (
        study(initializers=["nfm", "nfm@mine"]),
        "config.initialization.initializers.1: nfm@mine is the same as nfm, as there is one source",
    ),
    "layers of another source": (
        study(layers={"mime": {"features.0": "features.0"}}),
        "config.initialization.layers: the source 'mime' is none of mine; did you mean 'mine'?",
    ),
    "layers of no source": (
        study(layers={"features.0": "features.0"}),
        "config.initialization.layers: give layers for each source: {imagenet: {features.3: features.5}}",
    ),
    "layers where there are no sources": (
        {"sources": None} | study(initializers=["normal"], layers={"mine": {"features.0": "features.0"}}),
        "config.initialization.layers: there are no sources",
    ),
    "an initial network that needs images": (
        {"sources": {"mine": {"initial": {"initializer": "kaiming_normal+lsuv"}}}},
        "config.sources.mine.initial.initializer: kaiming_normal+lsuv needs training images; give dataset",
    ),
    "an initial network that draws from itself": (
        {"sources": {"mine": {"initial": {"initializer": "nfm"}}}},
        "config.sources: circle: mine -> mine; one of them has to start without features of the others",
    ),
    "what training added to an initial network": (
        {"sources": {"mine": {"initial": {}}}, **study(initializers=["nfm_centred"])},
        "config.initialization.initializers.0: 'nfm_centred' subtracts the initial weights of its source",
    ),
    "a circle of sources": (
        {
            "sources": {
                name: {"train": {"dataset": "digits", "initializer": f"nfm@{other}", "training": {"batch_size": 8}}}
                for name, other in (("a", "b"), ("b", "c"), ("c", "a"))
            },
            **study(initializers=["nfm@a"]),
        },
        "config.sources: circle: a -> b -> c -> a",
    ),
    "a source of itself": (
        {"sources": {"a": {"train": {"dataset": "digits", "initializer": "nfm", "training": {"batch_size": 8}}}}},
        "config.sources: circle: a -> a",
    ),
    "misspelt weights": (
        {"sources": {"mine": {"torchvision": {"weights": "vgg11", "dataset": "digits"}}}},
        "config.sources.mine.torchvision.weights: 'vgg11' does not fit; torchvision's names are like VGG11_Weights.",
    ),
    "weights of no network": (
        {"sources": {"mine": {"torchvision": {"weights": "VGG12_Weights.IMAGENET1K_V1", "dataset": "digits"}}}},
        "'VGG12_Weights.IMAGENET1K_V1' is not among torchvision's weights; did you mean 'VGG1",
    ),
    "weights of another version": (
        {"ansatz": {"pretrained": {"weights": ["VGG11_Weights.IMAGENET1K_V9"], "dataset": "digits"}}},
        "config.ansatz.pretrained.weights.0: 'VGG11_Weights.IMAGENET1K_V9' is not among torchvision's weights; it has "
        "VGG11_Weights.IMAGENET1K_V1",
    ),
    # the other sections
    "nothing to compare": ({"ansatz": {}}, "config.ansatz: give at least one of pretrained and trained"),
    "unknown dataset of an experiment": (
        trained(datasets=["cifar11"]),
        "config.ansatz.trained.a.datasets.0: 'cifar11' is no dataset; did you mean 'cifar10'?",
    ),
    "deviation of another initializer": (
        trained(initializer={"kaiming_normal": {"std": 0.1}}),
        "config.ansatz.trained.a.initializer.kaiming_normal: unknown key 'std'; there are no options",
    ),
    "no experiment": ({"evolution": {}}, "config.evolution: {} is empty; name at least one"),
    "bad name of an experiment": (
        {"evolution": {"a b": {"datasets": ["digits"]}}},
        "config.evolution.a b: 'a b' does not",
    ),
    "datasets in the singular": (
        {"evolution": {"a": {"dataset": "digits"}}},
        "config.evolution.a: the key 'datasets' is missing; datasets to train on",
    ),
    "steps before the first": (
        evolution(steps=[0]),
        "config.evolution.a.steps.0: 0 is too small; it must be at least 1",
    ),
    # kernel machines
    "bars of a dataset": (
        kernels(task="bars", datasets=["digits"]),
        "config.kernels.a.datasets: digits, but the task bars makes its own images",
    ),
    "no images": (
        kernels(task="framed", frame=42),
        "config.kernels.a.datasets: missing; the task framed takes the images of a dataset",
    ),
    "unknown dataset of a task": (
        kernels(datasets=["digit"]),
        "config.kernels.a.datasets.0: 'digit' is no dataset; did",
    ),
    "noise in images": (
        kernels(datasets=["digits"], noise=[1]),
        "config.kernels.a.noise: [1.0], but the task images has none; framed and bars have",
    ),
    "nothing to compare with": (
        kernels(task="bars", machines=["convrfm"]),
        "config.kernels.a.machines: cntk is missing, with which the others are compared",
    ),
    "a small number as text": (
        kernels(task="bars", ridges=["1e-5"]),
        "config.kernels.a.ridges.0: '1e-5' is not a number; write 1.0e-05 without quotes",
    ),
    "a nonlinearity of none": (
        kernels(task="bars", nonlinearity="None"),
        "config.kernels.a.nonlinearity: 'None' is none of relu, null",
    ),
    "unknown machine": (
        kernels(machines=["convrmf"]),
        "config.kernels.a.machines.0: 'convrmf' is none of ",
    ),
    "machines as text": (kernels(machines="cntk"), "config.kernels.a.machines: 'cntk' is not a list"),
    "unknown task": (
        kernels(task="imgaes"),
        "config.kernels.a.task: 'imgaes' is none of images, framed, bars; did you",
    ),
    "misspelt option": (
        kernels(task="bars", noize=[1]),
        "config.kernels.a: unknown key 'noize'; did you mean 'noise'?",
    ),
    "an option that no machine takes": (
        kernels(task="bars", machines=["cntk", "cnn"], bandwidth=3),
        "config.kernels.a.bandwidth: neither the task nor any of the machines has it; ",
    ),
    "an option of another task": (
        kernels(task="bars", frame=42),
        "config.kernels.a.frame: neither the task nor any of the machines has it; framed has",
    ),
    "a seed as an option": (
        kernels(task="bars", seed=1),
        "config.kernels.a: unknown key 'seed'; did you mean 'seeds'?",
    ),
    "a wrong option of one machine": (
        kernels(task="bars", machines=["cntk", {"convrfm": {"iterations": 0}}]),
        "config.kernels.a.machines.1.convrfm.iterations: 0 is too small; it must be at least 1",
    ),
    "a kernel that there is not": (
        kernels(task="bars", machines=["cntk", {"convrfm": {"kernel": "laplacian"}}]),
        "config.kernels.a.machines.1.convrfm.kernel: 'laplacian' is none of ",
    ),
    "momentum of the CNN": (
        kernels(task="bars", training={"momentum": 0.5}),
        "config.kernels.a.training.momentum: 0.5, but adam has no momentum; sgd has",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_in_one_line(mistake):
    changes, expected = MISTAKES[mistake]
    assert expected in refusal(configuration(**changes), directory=ROOT)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            study(layers={"mine": {"features.1": "features.0"}}),
            "config.initialization.layers.mine: 'features.1' is no layer of vgg11",
        ),
        (
            study(layers={"mine": {"features.0": "features.1"}}),
            "config.initialization.layers.mine: 'features.1' is no layer of vgg11",
        ),
        (
            evolution(network={"name": "lenet5"}, layers=["conv1"]),
            "config.evolution.a.layers: 'conv1' is no layer of lenet5",
        ),
    ],
)
def test_layers_are_those_of_the_network(changes, line):
    assert line in refusal(configuration(**changes))
    load(configuration(**changes), thorough=False)
