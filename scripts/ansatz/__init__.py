"""Feature matrices of convolutional networks: measure them, initialize networks with them, learn with them.

Measure the neural feature matrix (NFM) and the average gradient outer product (AGOP) of every convolution::

    network = ansatz.build("vgg11", classes=10, seed=0)
    matrices = {"nfm": ansatz.nfm(network), "agop": ansatz.agop(network, batches)}
    ansatz.correlation(matrices["nfm"]["features.0"], matrices["agop"]["features.0"])

Initialize another network with them, and train it with a `Trainer` as a `TrainingConfig` says::

    ansatz.initialize(other, "kaiming_nfm", seed=0, matrices=matrices)

Learn features without backpropagation: `ConvRFM` and `DeepConvRFM` are scikit-learn classifiers of images, and so is
`ConvNet`, a trained network to compare them with::

    ansatz.ConvRFM().fit(X, y).predict(X)

Importing this package is fast: PyTorch is imported when the first of these names is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansatz.features.agop import agop as agop
    from ansatz.features.alignment import correlation as correlation
    from ansatz.features.alignment import cosine as cosine
    from ansatz.features.matrix import FeatureMatrix as FeatureMatrix
    from ansatz.features.matrix import nfm as nfm
    from ansatz.features.stored import read_matrices as read_matrices
    from ansatz.initializers.initialize import initialize as initialize
    from ansatz.machines.convnet import ConvNet as ConvNet
    from ansatz.machines.convrfm import ConvRFM as ConvRFM
    from ansatz.machines.deep_convrfm import DeepConvRFM as DeepConvRFM
    from ansatz.networks.build import build as build
    from ansatz.training.config import TrainingConfig as TrainingConfig
    from ansatz.training.trainer import Trainer as Trainer

__version__ = "0.1.0"

_MODULES = {
    "agop": "ansatz.features.agop",
    "build": "ansatz.networks.build",
    "ConvNet": "ansatz.machines.convnet",
    "ConvRFM": "ansatz.machines.convrfm",
    "correlation": "ansatz.features.alignment",
    "cosine": "ansatz.features.alignment",
    "DeepConvRFM": "ansatz.machines.deep_convrfm",
    "FeatureMatrix": "ansatz.features.matrix",
    "initialize": "ansatz.initializers.initialize",
    "nfm": "ansatz.features.matrix",
    "read_matrices": "ansatz.features.stored",
    "Trainer": "ansatz.training.trainer",
    "TrainingConfig": "ansatz.training.config",
}  # name -> the module that defines it, imported when the name is first used (PEP 562)
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
