"""With which packages the library does its work, and which it leaves alone."""

import interpreter

# Those of the extras.
OPTIONAL = ("pandas", "matplotlib", "jinja2", "tabulate", "altair", "yaml", "pydantic", "snakemake")
TRACKERS = ("tensorboard", "mlflow", "wandb")
# Those that a machine with a GPU and little more than PyTorch may lack.
BESIDE_TORCH = ("h5py", "tqdm", "pandas", "scipy", "sklearn", "matplotlib", "safetensors")
# Importing each of these takes as long as training a small network for an epoch or more.
SLOW = ("torch._dynamo", "torchvision", "pandas", "sklearn", "matplotlib")

START = """
import sys
import numpy as np
from ansatz.data.batches import on_device
from ansatz.devices import take_device
from ansatz.features.agop import agop
from ansatz.features.matrix import nfm
from ansatz.files.dataset import Dataset, Part
from ansatz.files.tables import write_metrics
from ansatz.initializers.initialize import initialize
from ansatz.networks.build import build
from ansatz.training.checkpoint import Checkpoint
from ansatz.training.config import TrainingConfig
from ansatz.training.trainer import Trainer
part = Part(np.zeros((4, 1, 8, 8), np.uint8), np.arange(4) % 2)
data = Dataset("made", ("a", "b"), np.zeros(1), np.ones(1), {"train": part}, "")
images = on_device(data, size=32, channels=3, device=take_device("cpu", 1))
network = build("vgg11", 2, seed=0, width=0.01)
"""


def test_importing_the_package_does_not_import_torch():
    assert interpreter.run("import sys, ansatz; print('torch' in sys.modules)") == "False\n"


def test_measuring_initializing_and_learning_take_no_extras():
    code = """
        import numpy as np, torch, ansatz
        network = ansatz.build("lenet5", 2, seed=0, in_channels=1)
        matrices = {"nfm": ansatz.nfm(network), "agop": ansatz.agop(network, [torch.randn(4, 1, 32, 32)])}
        ansatz.initialize(network, "kaiming_nfm", seed=0, matrices=matrices)
        assert -1 <= ansatz.correlation(matrices["nfm"]["features.0"], matrices["agop"]["features.0"]) <= 1
        X, y = np.random.default_rng(0).normal(size=(12, 1, 8, 8)).astype("float32"), np.arange(12) % 2
        assert ansatz.ConvRFM(iterations=1).fit(X, y).predict(X).shape == (12,)
        for name in ansatz.__all__:
            getattr(ansatz, name)
        """
    interpreter.run(code, missing=OPTIONAL + TRACKERS)


def test_the_library_computes_with_torch_alone():
    code = """
initialize(network, "nfm", seed=0, matrices={"nfm": nfm(network)})
Trainer(network, images, TrainingConfig(epochs=1), seed=0).train()
agop(network, (x for x, _ in images["train"].batches(2)), probes=2)
"""
    interpreter.run(START + code, missing=BESIDE_TORCH)


def test_a_training_imports_no_slow_modules_that_it_does_not_need():
    code = f"""
initialize(network, "normal", seed=0)
Trainer(network, images, TrainingConfig(epochs=1), seed=0).train()
print(*set({SLOW}) & sys.modules.keys())
"""
    assert interpreter.run(START + code).strip() == ""
