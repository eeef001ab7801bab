"""Whether bfloat16 and compiled training reach the accuracy of float32: best validation accuracies over seeds."""

import os
import tempfile
from pathlib import Path

import numpy as np

from ansatz.data.archives import fetch_archives
from ansatz.data.batches import on_device
from ansatz.data.prepare import prepare
from ansatz.devices import take_device
from ansatz.files.dataset import read_dataset
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.reporting.statistics import mean_interval
from ansatz.training.config import TrainingConfig
from ansatz.training.trainer import Trainer
from benchmarks.measure import Row, alone
from real_data import ARCHIVES, SUBSETS

SEEDS = range(5)
EPOCHS = {"digits": 8, "cifar10": 4}
VARIANTS = {"bfloat16": ("bfloat16", False), "float32, compiled": ("float32", True)}


def best_accuracy(file: Path, epochs: int, precision: str, compiled: bool, seed: int) -> float:
    """Return the best validation accuracy of one training of the default study's network."""
    device = take_device("cpu", os.cpu_count() or 1)
    data = read_dataset(file)
    network = build("vgg11", len(data.classes), seed=seed, width=0.125)
    initialize(network, "kaiming_uniform", seed=seed)
    images = on_device(data, size=32, channels=3, device=device)
    config = TrainingConfig(epochs=epochs, batch_size=32, learning_rate=0.01, precision=precision, compile=compiled)
    run = Trainer(network, images, config, seed=seed, compile_cache=file.with_name("compiled")).train()
    assert run.best is not None
    return run.best["validation_accuracy"]


def rows() -> list[Row]:
    """Return the rows of the table; those of CIFAR-10 only if its archive is available."""
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for name in EPOCHS if (ARCHIVES / "cifar-10-python.tar.gz").exists() else ["digits"]:
            file, archives = Path(folder, f"{name}.h5"), Path(folder, name)
            checksum = SUBSETS.get(name, "")
            fetch_archives(name, archives, data_dir=str(ARCHIVES), url="", sha256=checksum)
            prepare(name, archives, file, sha256=checksum)
            plain = accuracies(file, EPOCHS[name], "float32", False)
            low, high = mean_interval(np.array(plain))
            for variant, how in VARIANTS.items():
                mean = float(np.mean(accuracies(file, EPOCHS[name], *how)))
                what = f"best validation accuracy on {name}: float32 (mean, 95 % interval) and {variant} (mean)"
                shown = f"{np.mean(plain):.2%} ({low:.2%}–{high:.2%})"
                met = low <= mean <= high
                table.append(Row(what, shown, f"{mean:.2%}", "", "within", met, len(plain)))
    return table


def accuracies(file: Path, *how: object) -> list[float]:
    """Return the best validation accuracy of each seed, each in its own process."""
    return [alone(best_accuracy, file, *how, seed)[0] for seed in SEEDS]
