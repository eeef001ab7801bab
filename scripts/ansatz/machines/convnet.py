"""The convolutional network with which kernel machines are compared."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Interval
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ansatz.data.batches import Tensors
from ansatz.devices import working_memory
from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix, nfm
from ansatz.machines.estimator import ImageClassifier, held_out
from ansatz.networks.maps import CONVOLUTIONS
from ansatz.registry import machine
from ansatz.seeds import derive_seed
from ansatz.training.config import TrainingConfig
from ansatz.training.run import Run
from ansatz.training.trainer import Trainer

CNN_TRAINING: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 5e-4,
    "weight_decay": 0.0,
    "epochs": 100,
    "batch_size": 128,
}


class ConvNet(ImageClassifier):
    """The convolutional network whose kernel is the CNTK, with finite width, trained on cross-entropy.

    It consists of convolutions without bias, each followed by ReLU, and a linear read-out of all positions. The number
    of epochs is selected on a held-out fifth of the images; the network is then retrained on all images.

    Parameters
    ----------
    depth : int
        Number of convolutions.
    patch_size : int
        Side of their filters, in pixels.
    padding : int
        Width of the border of zeros around the images, in pixels.
    width : int
        Number of filters in a convolution.
    training : TrainingConfig, optional
        How it is trained; by default `CNN_TRAINING`. With ``compile="auto"`` it is not compiled, as a network of this
        size would gain nothing.
    device : str
        As for `ansatz.devices.find_device`.
    memory : int, optional
        Bytes available for images; by default those of `ansatz.devices.working_memory`.
    random_state : int or RandomState, optional
        Determines the held-out images, the initial weights and the batches.

    Attributes
    ----------
    initial_, network_ : nn.Module
        The network before and after training.
    history_ : list of dict
        A row per epoch of the training with held-out images: losses, accuracies, selected.
    """

    def __init__(
        self,
        *,
        depth: Annotated[int, Interval(ge=1, le=20)] = 3,
        patch_size: Annotated[int, Interval(ge=1, le=31)] = 3,
        padding: Annotated[int, Interval(ge=0, le=15)] = 0,
        width: Annotated[int, Ge(1)] = 64,
        training: TrainingConfig | None = None,
        device: str = "cpu",
        memory: Annotated[int, Ge(1)] | None = None,
        random_state: Any = None,
    ) -> None:
        self.depth, self.patch_size, self.padding, self.width = depth, patch_size, padding, width
        self.training, self.device, self.memory, self.random_state = training, device, memory, random_state

    def fit(self, X: Any, y: Any, X_test: Any = None, y_test: Any = None) -> "ConvNet":
        """Train; `X_test` and `y_test` are not used."""
        self._check_parameters()
        X, labels = self._checked_with_labels(X, y)
        rng = check_random_state(self.random_state)
        rest, aside = held_out(len(X), rng)
        seed = int(rng.randint(2**31))
        x = self._images(X)
        t = torch.from_numpy(labels).to(x.device)
        memory = self.memory or working_memory(x.device)
        self.initial_ = self._network(x.shape[1:], len(self.classes_), seed)
        training = self.training or TrainingConfig(**CNN_TRAINING)
        training = replace(training, compile=training.compile is True)

        def fitted(epochs: int, **rows: np.ndarray) -> Run:
            self.network_ = copy.deepcopy(self.initial_)
            parts = {name: Tensors(x[part], t[part], memory) for name, part in rows.items()}
            config = replace(training, early_stopping=training.early_stopping if "validation" in rows else None)
            run = Trainer(self.network_, parts, config, seed=seed, title="cnn").train(epochs)
            if run.diverged or ("validation" in rows and run.best is None):
                raise UserError(f"cnn: diverged in epoch {len(run.rows)}; lower its learning_rate")
            return run

        run = fitted(training.epochs, train=rest, validation=aside)
        self.history_ = [row | {"selected": row is run.best} for row in run.rows]
        selected = [row["selected"] for row in self.history_].index(True) + 1
        fitted(selected, train=np.arange(len(x)))
        return self

    @property
    def feature_layers(self) -> int:
        """The number of convolutions."""
        return self.depth

    @torch.no_grad()
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits, (n, classes); for two classes the difference of second and first, (n,)."""
        x = self._images(self._checked(X))
        return self._decisions(torch.cat([self.network_.eval()(batch) for batch in x.split(256)]))

    def features(self) -> tuple[nn.Module, dict[str, FeatureMatrix]]:
        """Return the network, and for each convolution the NFM of the change of its filters during training.

        The filters themselves would mostly show their random initialization, which a short training hardly changes.
        """
        check_is_fitted(self)
        change = copy.deepcopy(self.network_)
        with torch.no_grad():
            for parameter, initial in zip(change.parameters(), self.initial_.parameters(), strict=True):
                parameter.sub_(initial.to(parameter.device))
        return self.network_, nfm(change, CONVOLUTIONS)

    def _network(self, shape: tuple[int, ...], classes: int, seed: int) -> nn.Module:
        channels, rows, columns = shape
        lost = self.depth * (self.patch_size - 1) - 2 * self.padding
        if min(rows, columns) <= lost:
            raise UserError(
                f"cnn: {self.depth} convolutions of patch size {self.patch_size} require images of at least "
                f"{lost + 1} px; these are {rows}x{columns}"
            )
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "network"))
            for layer in range(self.depth):
                padding = self.padding if layer == 0 else 0
                layers += [nn.Conv2d(channels, self.width, self.patch_size, padding=padding, bias=False), nn.ReLU()]
                channels = self.width
            read_out = nn.Linear(channels * (rows - lost) * (columns - lost), classes, bias=False)
        return nn.Sequential(*layers, nn.Flatten(), read_out)


@machine(options_of=ConvNet, title="CNN", learns_features=True)
def cnn(*, training: Mapping[str, Any] = CNN_TRAINING, **options: Any) -> ConvNet:
    """The convolutional network whose kernel is the CNTK, trained.

    Parameters
    ----------
    training : mapping of str to Any
        How it is trained, with the keys of the section `training`.
    """
    return ConvNet(training=TrainingConfig(**{**CNN_TRAINING, **training}), **options)
