"""Adding something of one's own: one function or class in one file, and nothing but its own runs.

Each row adds one to a study that has run, and asks what is to be run then. By turns, a row is planned as a plugin and
runs in the library, or the other way round.
"""

from dataclasses import dataclass, field
from itertools import cycle

import pandas as pd
import pytest

from studies import SECTIONS

COMPARISON = {"tabulate_initialization": 1, "tabulate_speed": 1, "draw_comparison": 3}
STUDY_TABLES = {"gather_runs": 1, "draw_curves": 2, "gather_activations": 1} | COMPARISON
MACHINE_TABLES = {"tabulate_machines": 1, "draw_machines": 3}
BARS = SECTIONS["kernels"]["bars"]


@dataclass
class Row:
    """What is added, where it may stand in the library, what names it, and what is to be run then."""

    source: str
    package: str
    changes: dict
    planned: dict
    results: list = field(default_factory=list)


ROWS = {
    "initializer": Row(
        """
import torch
from torch import nn

from ansatz.registry import initializer


@initializer
def sparse(weight, generator):
    \"\"\"One weight in ten, at the scale of Kaiming.\"\"\"
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    weight *= 10**0.5 * (torch.rand(weight.shape, generator=generator) < 0.1)
""",
        "initializers",
        {"initialization": {"initializers": ["kaiming_uniform", "nfm", "sparse"]}},
        {"train": 1, "measure_activations": 1} | STUDY_TABLES,
        ["initialization/runs/digits/sparse/seed0/metrics.csv"],
    ),
    "initializer with an option": Row(
        """
from typing import Annotated

from annotated_types import Gt
from torch import nn

from ansatz.registry import initializer


@initializer
def laplacian(weight, generator, *, scale: Annotated[float, Gt(0)] = 0.1):
    \"\"\"Two-sided exponentials.

    Parameters
    ----------
    scale : float
        Mean of their magnitude.
    \"\"\"
    nn.init.uniform_(weight, -0.5, 0.5, generator=generator)
    weight.copy_(-scale * weight.sign() * (1 - 2 * weight.abs()).log())
""",
        "initializers",
        {"initialization": {"initializers": ["kaiming_uniform", "nfm", {"laplacian": {"scale": 0.05}}]}},
        {"train": 1, "measure_activations": 1} | STUDY_TABLES,
        ["initialization/runs/digits/laplacian_scale-0.05/seed0/metrics.csv"],
    ),
    "initializer from feature matrices": Row(
        """
import torch

from ansatz.initializers.drawing import draw_
from ansatz.registry import initializer


@initializer(needs="agop")
def half_agop(weight, generator, covariance):
    \"\"\"Filters whose covariance is half the AGOP, half white.\"\"\"
    draw_(weight, generator, covariance)
    weight += torch.randn(weight.shape, generator=generator) / weight[0].numel() ** 0.5
    weight /= 2**0.5
""",
        "initializers",
        {"initialization": {"initializers": ["kaiming_uniform", "nfm", "half_agop"]}},
        {"train": 1, "measure_activations": 1} | STUDY_TABLES,
        ["initialization/runs/digits/half_agop/seed0/metrics.csv"],
    ),
    "network": Row(
        """
from torch import nn

from ansatz.registry import network


@network
def tiny(classes, in_channels=3, width=1.0):
    \"\"\"One convolution and a linear layer.\"\"\"
    filters = max(1, round(32 * width))
    layers = [nn.Conv2d(in_channels, filters, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16 * filters, classes))
""",
        "networks",
        {
            "evolution": SECTIONS["evolution"]
            | {
                "tiny": {
                    "datasets": ["digits"],
                    "network": {"name": "tiny", "image_size": 32},
                    "layers": ["0"],
                    "training": {"epochs": 1, "batch_size": 16},
                }
            }
        },
        {"follow_training": 1, "tabulate_evolution": 1, "draw_evolution": 5},
        ["evolution/tiny/digits/seed0/evolution.h5"],
    ),
    "network with an option": Row(
        """
from typing import Annotated, Literal

from annotated_types import Interval
from torch import nn

from ansatz.registry import network


@network
def stack(
    classes,
    in_channels=3,
    width=1.0,
    *,
    depth: Annotated[int, Interval(ge=1, le=5)] = 2,
    activation: Literal["relu", "gelu"] = "relu",
):
    \"\"\"Convolutions, one after the other.

    Parameters
    ----------
    depth : int
        The number of convolutions.
    activation : {"relu", "gelu"}
        What follows each.
    \"\"\"
    filters, layers = max(1, round(32 * width)), []
    for layer in range(depth):
        convolution = nn.Conv2d(filters if layer else in_channels, filters, 3, padding=1)
        layers += [convolution, nn.ReLU() if activation == "relu" else nn.GELU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters, classes))
""",
        "networks",
        {
            "evolution": SECTIONS["evolution"]
            | {
                "stack": {
                    "datasets": ["digits"],
                    "network": {"name": "stack", "image_size": 32, "depth": 1, "activation": "gelu"},
                    "training": {"epochs": 1, "batch_size": 16},
                }
            }
        },
        {"follow_training": 1, "tabulate_evolution": 1, "draw_evolution": 5},
        ["evolution/stack/digits/seed0/evolution.h5"],
    ),
    "dataset": Row(
        """
import numpy as np

from ansatz.data.raw import RawDataset
from ansatz.files.dataset import Part
from ansatz.registry import dataset


@dataset()
def stripes(folder):
    \"\"\"Stripes: they run down or across.\"\"\"
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (60, 1, 8, 8), np.uint8)
    labels = np.arange(60) % 2
    images[labels == 0, :, ::2] += 150
    images[labels == 1, :, :, ::2] += 150
    return RawDataset(["across", "down"], Part(images, labels))
""",
        "data",
        {"datasets": {"digits": {"limit": 60}, "stripes": {}}},
        {"prepare_dataset": 1, "train": 2, "measure_activations": 2} | STUDY_TABLES,
        ["initialization/runs/stripes/nfm/seed0/metrics.csv"],
    ),
    "dataset whose images are resized": Row(
        """
import numpy as np
from PIL import Image

from ansatz.data.raw import RawDataset
from ansatz.files.dataset import Part
from ansatz.registry import dataset


@dataset(size=12)
def shades(folder, size):
    \"\"\"Shades: dark or light, of any size.\"\"\"
    pictures = [Image.new("L", (5 + i, 7), 40 + 120 * (i % 2) + i) for i in range(60)]
    images = np.stack([np.asarray(picture.resize((size, size)))[None] for picture in pictures])
    return RawDataset(["dark", "light"], Part(images, np.arange(60) % 2))
""",
        "data",
        {"datasets": {"digits": {"limit": 60}, "shades": {"size": 10}}},
        {"prepare_dataset": 1, "train": 2, "measure_activations": 2} | STUDY_TABLES,
        ["initialization/runs/shades/nfm/seed0/metrics.csv"],
    ),
    "metric": Row(
        """
from ansatz.registry import metric


@metric
def confidence_of_the_best(logits, labels):
    \"\"\"Probability of the predicted class.\"\"\"
    return logits.softmax(1).amax(1)
""",
        "training",
        {
            "evolution": SECTIONS["evolution"]
            | {
                "measured": SECTIONS["evolution"]["lenet"]
                | {"training": {"epochs": 1, "batch_size": 16, "metrics": ["confidence_of_the_best"]}}
            }
        },
        {"follow_training": 1, "tabulate_evolution": 1, "draw_evolution": 5},
        ["evolution/measured/digits/seed0/metrics.csv"],
    ),
    "machine": Row(
        """
import numpy as np

from ansatz.machines.estimator import ImageClassifier
from ansatz.registry import machine


@machine(title="Nearest mean")
class Nearest(ImageClassifier):
    \"\"\"The class whose mean image is nearest.\"\"\"

    feature_layers = 0

    def __init__(self, *, device="cpu", memory=None, random_state=None):
        self.device, self.memory, self.random_state = device, memory, random_state

    def fit(self, X, y, X_test=None, y_test=None):
        X, labels = self._checked_with_labels(X, y)
        self.means_ = np.stack([X[labels == c].mean(0).ravel() for c in range(len(self.classes_))])
        return self

    def decision_function(self, X):
        X = self._checked(X).reshape(len(X), -1)
        distances = ((X[:, None] - self.means_) ** 2).sum(2)
        return distances[:, 0] - distances[:, 1] if len(self.classes_) == 2 else -distances

    def features(self):
        from torch import nn

        return nn.Sequential(nn.Conv2d(1, 1, 1)), {}

    @property
    def history_(self):
        return [{"accuracy": float("nan")}]
""",
        "machines",
        {"kernels": {"bars": BARS | {"machines": ["cntk", "convrfm", "nearest"]}}},
        {"run_machine": 1} | MACHINE_TABLES,
        ["kernels/bars/bars/noise1/nearest/seed0/scores.csv"],
    ),
    "machine with an option": Row(
        """
from typing import Annotated, Any

from annotated_types import Gt

from ansatz.machines.convrfm import ConvRFM
from ansatz.registry import machine


@machine(learns_features=True, title="Steep ConvRFM")
def steep(*, steepness: Annotated[float, Gt(0)] = 2.0, depth: int = 2, **job: Any) -> ConvRFM:
    \"\"\"ConvRFM with a power of M.

    Parameters
    ----------
    steepness : float
        The power.
    depth : int
        Number of convolutions.
    \"\"\"
    return ConvRFM("cntk", power=steepness, iterations=1, depth=depth, **job)
""",
        "machines",
        {"kernels": {"bars": BARS | {"machines": ["cntk", "convrfm", {"steep": {"steepness": 1.5}}]}}},
        {"run_machine": 1, "draw_learned": 1} | MACHINE_TABLES,
        ["kernels/bars/bars/noise1/steep_steepness-1.5/seed0/learned.h5"],
    ),
    "kernel": Row(
        """
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt

from ansatz.registry import kernel


@kernel
@dataclass(frozen=True)
class Gaussian:
    \"\"\"Gaussians of the distances of patches.

    Attributes
    ----------
    gamma : float
        Inverse of their squared width.
    patch_size : int
        Side of the patches, in pixels.
    padding : int
        Zeros around the images.
    \"\"\"

    gamma: Annotated[float, Gt(0)] = 1.0
    patch_size: int = 3
    padding: int = 0

    depth = 1

    def scale(self, channels):
        return 1.0

    def values(self, q12, q11, q22):
        return self._gaussians(q12, q11, q22).sum((0, 1))

    def diagonal(self, q):
        return torch.full_like(q[0, 0], q.shape[0] * q.shape[1])

    def derivatives(self, q12, q11, q22):
        gaussians = self._gaussians(q12, q11, q22)
        return 2 * self.gamma * gaussians, -self.gamma * gaussians

    def _gaussians(self, q12, q11, q22):
        return torch.exp(-self.gamma * (q11 + q22 - 2 * q12))
""",
        "machines",
        {
            "kernels": {
                "bars": BARS | {"machines": ["cntk", "convrfm", {"convrfm": {"kernel": "gaussian", "gamma": 2.0}}]}
            }
        },
        {"run_machine": 1, "draw_learned": 1} | MACHINE_TABLES,
        ["kernels/bars/bars/noise1/convrfm_gamma-2_kernel-gaussian/seed0/learned.h5"],
    ),
    "task": Row(
        """
import numpy as np

from ansatz.machines.task import Task
from ansatz.registry import task
from ansatz.seeds import derive_seed


@task(of_dataset=False)
def spots(data, train, test, seed, *, noise: float = 0.0, brightness: float = 4.0):
    \"\"\"A bright pixel in the left or the right half of noise.

    Parameters
    ----------
    noise : float
        Its variance.
    brightness : float
        Of the pixel.
    \"\"\"
    rng = np.random.default_rng(derive_seed(seed, "spots"))
    x = rng.normal(0, noise**0.5, (train + test, 1, 12, 12)).astype(np.float32)
    y, n = rng.integers(0, 2, train + test), np.arange(train + test)
    x[n, 0, rng.integers(0, 12, len(n)), 6 * y + rng.integers(0, 6, len(n))] += brightness
    return Task(x[:train], y[:train], x[train:], y[train:])
""",
        "machines",
        {
            "kernels": {
                "bars": BARS,
                "spots": {
                    "task": "spots",
                    "noise": [1],
                    "brightness": 5.0,
                    "train": 30,
                    "test": 20,
                    "machines": ["cntk"],
                },
            }
        },
        {"run_machine": 1} | MACHINE_TABLES,
        ["kernels/spots/spots/noise1/cntk/seed0/scores.csv"],
    ),
}


def add(clone, row, place):
    """Add one file, and name what it defines in the configuration."""
    if place == "library":
        (clone.path / "scripts/ansatz" / row.package / "mine.py").write_text(row.source)
        clone.configure_all(**row.changes)
    else:
        (clone.path / "mine.py").write_text(row.source)
        clone.configure_all(plugins=["mine.py"], **row.changes)


@pytest.mark.parametrize(("name", "place"), list(zip(ROWS, cycle(["plugin", "library"]), strict=False)))
def test_one_file_adds_it_and_only_its_runs_are_planned(complete, name, place):
    row = ROWS[name]
    add(complete, row, place)
    assert complete.planned() == row.planned


@pytest.mark.parametrize(("name", "place"), list(zip(ROWS, cycle(["library", "plugin"]), strict=False)))
def test_what_was_added_runs(complete, name, place):
    row = ROWS[name]
    add(complete, row, place)
    complete.snakemake(*(f"results/test/{file}" for file in row.results))
    for file in row.results:
        assert (complete.results / file).stat().st_size
    if name == "metric":
        metrics = pd.read_csv(complete.results / row.results[0])
        assert metrics.validation_confidence_of_the_best.between(0, 1).all()


def test_an_edit_reruns_only_what_uses_the_file(complete):
    add(complete, ROWS["initializer"], "plugin")
    complete.snakemake("results/test/initialization/tidy.csv")
    plugin = complete.path / "mine.py"
    plugin.write_text(plugin.read_text().replace("0.1)", "0.2)"))
    planned = complete.planned("results/test/initialization/tidy.csv")
    assert planned == {"train": 1, "gather_runs": 1}


def test_a_plugin_that_is_named_reruns_nothing(complete):
    (complete.path / "mine.py").write_text(ROWS["initializer"].source)
    complete.configure_all(plugins=["mine.py"])
    assert complete.planned() == {}
