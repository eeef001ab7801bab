"""Name -> what learns from images and labels: kernel machines, and the network that they are compared with."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ansatz import pictures
from ansatz.batches import Tensors
from ansatz.devices import working_memory
from ansatz.errors import UserError
from ansatz.feature_matrices import FeatureMatrix, nfm
from ansatz.rfm import ConvRFM, DeepConvRFM, ImageClassifier, held_out
from ansatz.seeds import stream
from ansatz.store import Learnt
from ansatz.training import Protocol, Run, train

CNN_PROTOCOL = Protocol(optimizer="adam", learning_rate=5e-4, weight_decay=0, epochs=100, batch_size=128)


class ConvNet(ImageClassifier):
    """The convolutional network whose kernel is the CNTK, of finite width, trained on cross-entropy.

    Parameters
    ----------
    depth, patch_size, padding, width : int
        Convolutions without bias, each followed by ReLU; the padding is the first one's. A linear layer sees all
        positions.
    protocol : Protocol, optional
        By default Adam at a rate of 5e-4 for 100 epochs at most: as many are taken as are best on a fifth of the
        images, held out; then it is trained anew on all of them. Of its `compile`, ``auto`` is no: such a network would
        not gain by it.
    device : str
    memory : int, optional
    random_state : int or RandomState, optional

    Attributes
    ----------
    initial_, network_ : nn.Module
        Before and after training.
    history_ : list of dict
        A row for each epoch of the training with images held out: losses, accuracies, selected.
    """

    def __init__(
        self,
        *,
        depth: int = 3,
        patch_size: int = 3,
        padding: int = 0,
        width: int = 64,
        protocol: Protocol | None = None,
        device: str = "cpu",
        memory: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.depth, self.patch_size, self.padding, self.width = depth, patch_size, padding, width
        self.protocol, self.device, self.memory, self.random_state = protocol, device, memory, random_state

    def fit(self, X: Any, y: Any, X_test: Any = None, y_test: Any = None) -> "ConvNet":
        """Train; `X_test` and `y_test` are not used."""
        self._check_whole(depth=1, patch_size=1, padding=0, width=1)
        self._check_whole(optional=True, memory=1)
        X, labels = self._checked_with_labels(X, y)
        rng = check_random_state(self.random_state)
        rest, aside = held_out(len(X), rng)
        seed = int(rng.randint(2**31))
        x = self._images(X)
        t = torch.from_numpy(labels).to(x.device)
        memory = self.memory or working_memory(x.device)
        self.initial_ = self._network(x.shape[1:], len(self.classes_), seed)
        protocol = self.protocol or CNN_PROTOCOL
        protocol = replace(protocol, compile=protocol.compile is True)

        def trained(epochs: int, **rows: np.ndarray) -> Run:
            self.network_ = copy.deepcopy(self.initial_)
            parts = {name: Tensors(x[some], t[some], memory) for name, some in rows.items()}
            run = train(self.network_, parts, replace(protocol, epochs=epochs), seed=seed, title="cnn")
            if run.diverged or ("validation" in rows and run.best is None):
                raise UserError(f"cnn: diverged in epoch {len(run.rows)}; lower its learning_rate")
            return run

        run = trained(protocol.epochs, train=rest, validation=aside)
        self.history_ = [row | {"selected": row is run.best} for row in run.rows]
        selected = [row["selected"] for row in self.history_].index(True) + 1
        trained(selected, train=np.arange(len(x)))
        return self

    @property
    def feature_layers(self) -> int:
        """How many layers learn features."""
        return self.depth

    @torch.no_grad()
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits, (n, classes); of two classes, the second's less the first's, (n,)."""
        x = self._images(self._checked(X))
        return self._decisions(torch.cat([self.network_.eval()(some) for some in x.split(256)]))

    def features(self) -> tuple[nn.Module, dict[str, FeatureMatrix]]:
        """Return the network, and the NFM of what training added to the filters of each convolution.

        Initial filters, of which most are left in a short training, are those of no image.
        """
        check_is_fitted(self)
        gained = copy.deepcopy(self.network_)
        with torch.no_grad():
            for parameter, initial in zip(gained.parameters(), self.initial_.parameters(), strict=True):
                parameter.sub_(initial.to(parameter.device))
        return self.network_, nfm(gained)

    def _network(self, shape: tuple[int, ...], classes: int, seed: int) -> nn.Module:
        channels, rows, columns = shape
        lost = self.depth * (self.patch_size - 1) - 2 * self.padding
        if min(rows, columns) <= lost:
            raise UserError(
                f"cnn: {self.depth} convolutions of patch size {self.patch_size} take images of {lost + 1} px at "
                f"least, and these have {rows}x{columns}"
            )
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(seed, "network"))
            for layer in range(self.depth):
                padding = self.padding if layer == 0 else 0
                layers += [nn.Conv2d(channels, self.width, self.patch_size, padding=padding, bias=False), nn.ReLU()]
                channels = self.width
            read_out = nn.Linear(channels * (rows - lost) * (columns - lost), classes, bias=False)
        return nn.Sequential(*layers, nn.Flatten(), read_out)


# ------------------------------------------------------------------------------------------------- the registry
def _kernel_machine(options: dict[str, Any], **fixed: Any) -> ConvRFM:
    return ConvRFM(**_of(options, ConvRFM) | fixed)


def _deep(options: dict[str, Any]) -> DeepConvRFM:
    return DeepConvRFM(_kernel_machine(options), **_of(options, DeepConvRFM))


def _convnet(options: dict[str, Any]) -> ConvNet:
    return ConvNet(protocol=Protocol(**options["training"]), **_of(options, ConvNet))


def _of(options: dict[str, Any], machine: type[ImageClassifier]) -> dict[str, Any]:
    """Return the options that are a machine's parameters."""
    return {name: options[name] for name in options if name in machine._get_param_names()}


MACHINES: dict[str, Callable[[dict[str, Any]], ImageClassifier]] = {
    "cntk": partial(_kernel_machine, kernel="cntk", iterations=0),
    "nngp": partial(_kernel_machine, kernel="nngp", iterations=0),
    "laplace": partial(_kernel_machine, kernel="laplace", iterations=0),
    "convrfm": partial(_kernel_machine, kernel="cntk"),
    "convrfm_laplace": partial(_kernel_machine, kernel="laplace"),
    "deep_convrfm": _deep,
    "cnn": _convnet,
}


def scores(machine: ImageClassifier, x: np.ndarray, y: np.ndarray) -> Iterator[dict[str, float]]:
    """Yield the accuracies of a fitted machine at each of its stages, the last of which has all its layers."""
    stages = list(machine.staged_predict(x))
    for layers, predicted in enumerate(stages, machine.feature_layers + 1 - len(stages)):
        yield {"layers": layers, "accuracy": float((predicted == y).mean())}


def learnt(machine: ImageClassifier, images: np.ndarray) -> Learnt:
    """Return the feature matrices of a fitted machine, and what they let through of images, (n, channels, ...)."""
    network, matrices = machine.features()
    x = torch.from_numpy(images).to(next(network.parameters()))
    seen = [pictures.looked_at(network, one, matrices) for one in x.split(1)]
    looks = {layer: torch.stack([one[layer] for one in seen]).cpu().numpy() for layer in matrices}
    dense = {layer: matrix.dense()[0].cpu().numpy() for layer, matrix in matrices.items()}
    return Learnt(images, dense, {layer: matrix.shape for layer, matrix in matrices.items()}, looks)
