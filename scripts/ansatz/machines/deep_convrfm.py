"""Deep ConvRFM: layers of random filters whose covariances are feature matrices."""

import math
from collections.abc import Iterator
from numbers import Integral
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Interval
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.nn.functional import conv2d

from ansatz.features.matrix import FeatureMatrix
from ansatz.initializers.drawing import draw_
from ansatz.machines.convrfm import ConvRFM
from ansatz.machines.estimator import ImageClassifier
from ansatz.machines.kernel_machines import kernel_machine
from ansatz.registry import machine
from ansatz.seeds import derive_seed


class DeepConvRFM(ImageClassifier):
    """A deep convolutional recursive feature machine: layers of filters drawn from the AGOPs of kernel machines.

    Each layer fits a `ConvRFM` to the outputs of the filters before it, with a kernel of one convolution fewer, and
    draws its own filters from the resulting feature matrix M: Gaussian with covariance M, scaled to trace 1, without
    bias. Where no M was learned (``final_m="selected"``), they are initialized as PyTorch initializes a convolution.
    The last machine predicts.

    Parameters
    ----------
    machine : ConvRFM, optional
        The machine that each layer is a copy of, except for its depth.
    layers : int, optional
        Number of layers; by default the depth of the machine.
    width : int
        Number of filters in a layer.
    nonlinearity : {"relu", None}
        Function applied to the outputs of the filters: relu, as in the authors' algorithm, or null, as in their code.

    Attributes
    ----------
    machines_ : list of ConvRFM
    filters_ : list of ndarray
        The filters between the machines, (width, channels, patch_size, patch_size).
    M_ : list of ndarray or None
        The feature matrix of each machine.
    alphas_, classes_
        Those of the last machine.
    history_ : list of dict
        A row per layer, iteration and ridge, as for `ConvRFM`.
    """

    def __init__(
        self,
        machine: ConvRFM | None = None,
        *,
        layers: Annotated[int, Ge(1)] | None = None,
        width: Annotated[int, Ge(1)] = 64,
        nonlinearity: Literal["relu"] | None = None,
    ) -> None:
        self.machine, self.layers, self.width, self.nonlinearity = machine, layers, width, nonlinearity

    def fit(self, X: Any, y: Any, X_test: Any = None, y_test: Any = None) -> "DeepConvRFM":
        """Fit layer by layer; parameters and errors are those of `ConvRFM.fit`."""
        self._check_parameters()
        prototype = self.machine or ConvRFM()
        prototype._check_parameters()
        X, _ = self._checked_with_labels(X, y)
        layers = prototype.depth if self.layers is None else self.layers
        X_test = None if X_test is None else self._checked(X_test)
        seed = (
            prototype.random_state
        )  # the same for all layers, and as for a single ConvRFM, so that all hold out the same images
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31)
        self.machines_, self.filters_ = [], []
        for layer in range(layers):
            depth = max(1, prototype.depth - layer)
            machine = clone(prototype).set_params(depth=depth, random_state=seed)
            self.machines_.append(machine.fit(X, y, X_test, y_test))
            if layer < layers - 1:
                self.filters_.append(self._drawn(machine, X.shape[1], derive_seed(int(seed), "filters", layer)))
                X, X_test = (None if images is None else self._layer(images, layer) for images in (X, X_test))
        self.alphas_ = self.machines_[-1].alphas_
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the outputs of the last machine; see `ConvRFM.decision_function`."""
        X = self._checked(X)
        for layer in range(len(self.filters_)):
            X = self._layer(X, layer)
        return self.machines_[-1].decision_function(X)  # (n, classes) or (n,)

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """Yield the labels that each machine predicts, (n,); the first machine sees the images themselves."""
        check_is_fitted(self)
        X = self._checked(X)
        for layer, fitted in enumerate(self.machines_):
            yield fitted.predict(X)
            X = self._layer(X, layer) if layer < len(self.filters_) else X

    @property
    def feature_layers(self) -> int:
        """The number of machines."""
        return len(self.machines_)

    def features(self) -> tuple[nn.Module, dict[str, FeatureMatrix]]:
        """Return the layers of filters, followed by a convolution of the last patches' size, and their matrices."""
        check_is_fitted(self)
        layers = nn.Sequential()
        matrices: dict[str, FeatureMatrix] = {}
        for number, fitted in enumerate(self.machines_):
            (last,), matrix_of = fitted.features()
            if number < len(self.filters_):
                weight = torch.from_numpy(self.filters_[number])  # (width, channels, patch_size, patch_size)
                last = nn.Conv2d(weight.shape[1], self.width, fitted.patch_size, padding=fitted.padding, bias=False)
                last.weight = nn.Parameter(weight)
            matrices |= {str(len(layers)): matrix for matrix in matrix_of.values()}
            layers.extend([last, nn.ReLU() if self.nonlinearity else nn.Identity()])
        return layers, matrices

    @property
    def M_(self) -> list[np.ndarray | None]:
        """The feature matrix of each machine."""
        return [machine.M_ for machine in self.machines_]

    @property
    def history_(self) -> list[dict[str, float]]:
        """A row per layer, iteration and ridge."""
        return [{"layer": layer} | row for layer, machine in enumerate(self.machines_) for row in machine.history_]

    def _drawn(self, machine: ConvRFM, channels: int, seed: int) -> np.ndarray:
        """Return filters with covariance M, scaled to trace 1; without M, initialized as PyTorch does."""
        generator, size = torch.Generator().manual_seed(seed), int(machine.patch_size)
        filters = torch.empty(self.width, channels, size, size)
        if machine.M_ is None:
            nn.init.kaiming_uniform_(filters, math.sqrt(5), generator=generator)
        else:
            covariance = machine._matrix(machine.M_, channels)
            draw_(filters, generator, covariance.scaled(1 / covariance.trace()))
        return filters.numpy()

    def _layer(self, images: np.ndarray, layer: int) -> np.ndarray:
        machine = self.machines_[layer]
        filters = torch.from_numpy(self.filters_[layer])
        x = machine._images(images)
        outputs = conv2d(x, filters.to(x), padding=int(machine.padding))
        return (outputs.relu() if self.nonlinearity else outputs).cpu().numpy()


@machine(
    options_of=(ConvRFM, DeepConvRFM),
    without=("kernel_options", "layers"),
    title="Deep ConvRFM",
    learns_features=True,
    starts_from="convrfm",
)
def deep_convrfm(
    *,
    kernel: str = "cntk",
    depth: Annotated[int, Interval(ge=1, le=20)] = 3,
    iterations: Annotated[int, Interval(ge=1, le=100)] = 3,
    width: Annotated[int, Ge(1)] = 64,
    nonlinearity: Literal["relu"] | None = None,
    **options: Any,
) -> DeepConvRFM:
    """Deep ConvRFM, whose first layer is the ConvRFM of the same options.

    Parameters
    ----------
    kernel : str
        Name of the kernel of patches.
    depth : int
        Number of layers, and of convolutions of the network whose kernel the first layer has.
    iterations : int
        How many times each layer computes the AGOP.
    width : int
        Number of filters in a layer.
    nonlinearity : {"relu", None}
        Function applied to the outputs of the filters: relu, as in the authors' algorithm, or null, as in their code.
    """
    machine = kernel_machine(kernel, depth=depth, iterations=iterations, **options)
    return DeepConvRFM(machine, width=width, nonlinearity=nonlinearity)
