"""Convolutional recursive feature machines: kernel machines that learn features without backpropagation.

Beaglehole, Radhakrishnan, Pandit and Belkin (2023), section 3. `ConvRFM` alternates between kernel ridge regression and
the AGOP of what it predicts, by which patches are multiplied in the next kernel; `DeepConvRFM` then draws a layer of
filters from the AGOP, and begins anew on the images that they make. Both are estimators of scikit-learn.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn
from torch.nn.functional import conv2d

from ansatz.devices import compiles, find_device, working_memory
from ansatz.errors import UserError
from ansatz.feature_matrices import FeatureMatrix
from ansatz.initializers import draw_
from ansatz.kernels import KERNELS, Kernel, compiled
from ansatz.regression import KernelRidge, kernel_ridge, nystroem
from ansatz.seeds import stream

LOG = logging.getLogger(__name__)
VALIDATION_SHARE = 0.2
LONG = 1e12  # pairs of pixels over all iterations from which on compiling is to pay on a GPU: estimated, not measured
CHOICES = {
    "kernel": KERNELS,
    "dtype": ("float32", "float64"),
    "compile": ("auto", True, False),
    "sample": ("random", "first"),
    "selection": ("validation", "test"),
    "alphas": ("selected", "last_ridge"),
    "best_m": ("learned", "strict", "last"),
    "norm": ("identity", "unit", "none"),
}
NONLINEARITIES: dict[str | None, Callable[[torch.Tensor], torch.Tensor]] = {None: lambda x: x, "relu": torch.relu}


@dataclass(frozen=True)
class Iteration:
    """What one iteration came to.

    Attributes
    ----------
    matrix : ndarray or None
        The feature matrix M that its kernel had, (patch, patch); None where it is the identity, as in the first
        iteration, and wherever the AGOP before was 0.
    regression : KernelRidge
    accuracies, errors : list of float
        For each ridge, on the images that ridge and iteration are selected on: the share of right labels, and the
        squared error of the outputs, summed over classes.
    """

    matrix: np.ndarray | None
    regression: KernelRidge
    accuracies: list[float]
    errors: list[float]


def held_out(count: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to learn from, and the rest, a share of `VALIDATION_SHARE`, to select on."""
    aside, rest = np.split(rng.permutation(count), [max(1, round(VALIDATION_SHARE * count))])
    return rest, aside


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """What classifiers of images have in common, once they have a `decision_function`."""

    def predict(self, X: Any) -> np.ndarray:
        """Return labels, (n,), of images as those of `fit`."""
        outputs = self.decision_function(X)
        return self.classes_[(outputs > 0).astype(int) if outputs.ndim == 1 else outputs.argmax(1)]

    def _decisions(self, outputs: torch.Tensor) -> np.ndarray:
        """Return outputs, (n, classes), as scikit-learn has them: of two classes one column, (n,)."""
        found = outputs.cpu().numpy()
        if not np.isfinite(found).all():
            raise UserError(f"images: outputs are not finite in {outputs.dtype}; scale the images as those of fit")
        return found[:, 1] - found[:, 0] if len(self.classes_) == 2 else found

    @property
    def feature_layers(self) -> int:
        """How many layers learn features."""
        raise NotImplementedError

    def features(self) -> tuple[nn.Module, dict[str, FeatureMatrix]]:
        """Return a network, and the feature matrices of its convolutions' inputs, by layer."""
        raise NotImplementedError

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """Yield labels, (n,), layer by layer, where layers predict by themselves; or those of `predict` alone."""
        yield self.predict(X)

    def _checked(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, allow_nd=True, dtype=("float64", "float32"), reset=False)
        if X.shape[1:] != self.image_shape_:
            raise ValueError(f"images are {X.shape[1:]}, and those of fit were {self.image_shape_}")
        return X

    def _checked_with_labels(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(self, X, y, allow_nd=True, dtype=("float64", "float32"), ensure_min_samples=2)
        check_classification_targets(y)
        if X.ndim not in (2, 4) or 0 in X.shape:
            raise ValueError(f"Found array with dim {X.ndim}, {X.shape}; images are (n, channels, height, width)")
        self.image_shape_ = X.shape[1:]
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError(f"labels: all {len(y)} are of one class, {y[0]}; to learn takes images of two at least")
        return X, labels

    def _images(self, X: np.ndarray) -> torch.Tensor:
        images = X.reshape(*X.shape[:2], *(X.shape[2:] or (1, 1)))  # (n, channels, height, width)
        dtype = getattr(torch, getattr(self, "dtype", "float32"))
        x = torch.tensor(images, dtype=dtype, device=find_device(self.device))
        if not x.isfinite().all():
            raise UserError(f"images: numbers up to {abs(images).max():.3g} are too large for {dtype}; scale them")
        return x

    def _check_whole(self, *, optional: bool = False, **least: int) -> None:
        """Refuse parameters that are not whole numbers, each of so much at least, or None."""
        for name, bound in least.items():
            value = getattr(self, name)
            if value is None and optional:
                continue
            if not isinstance(value, Integral) or isinstance(value, bool) or value < bound:
                raise UserError(f"{name}: {value!r}; it takes a whole number, {bound} at least")


class ConvRFM(ImageClassifier):
    """A convolutional recursive feature machine.

    Images are (n, channels, height, width). A table (n, features) is taken as images of one pixel: with
    ``patch_size=1`` this is the recursive feature machine of Radhakrishnan et al. (2022).

    Parameters
    ----------
    kernel : {"cntk", "nngp", "laplace"}
        See `ansatz.kernels`.
    depth : int
        Of the networks that cntk and nngp are the kernels of.
    patch_size, padding : int
        Side of the patches; zeros around the images.
    bandwidth : float
        Of the Laplace kernel.
    iterations : int
        How many times AGOP is taken; 0 leaves the plain kernel machine.
    ridges : sequence of float
        Beside a kernel whose largest entry is 1; the best is selected.
    centres : int, optional
        Solve from so many random images, with as many numbers of memory squared; None takes all (`ansatz.regression`).
    samples : int
        How many images AGOP is averaged over.
    sample : {"random", "first"}
        Which.
    power, threshold : float
        M is AGOP to this power, where patches are multiplied by ``M^(1/2)``; this share of the smallest eigenvalues of
        ``M^(1/2)`` is taken for 0 there, though not in `M_`.
    norm : {"identity", "unit", "none"}
        The trace of M, which to cntk and nngp is all one, and to laplace another bandwidth: the patch's size, as the
        identity has it; 1, as in the authors' code; or as AGOP comes.
    selection : {"validation", "test"}
        On what ridge and iteration are selected: a fifth of the training images, after which the selected regression is
        repeated on all of them; or the images given to `fit`, as the authors' code does, whose accuracy then is no
        longer that on unseen images.
    alphas : {"selected", "last_ridge"}
        Whose AGOP is taken in each iteration: the best ridge's, or the last one's, as the authors' code does.
    best_m : {"learned", "strict", "last"}
        Which matrix is passed on as `M_`: that of the best iteration but the first; that of the best, which is none
        where the first is as accurate, as in the authors' code; or the last. With `strict`, ridge and iteration are
        selected by their accuracy alone, the first among equals, as there; otherwise errors decide among equals.
    dtype : {"float32", "float64"}
        What kernels are computed in.
    compile : {"auto", True, False}
        Whether kernels are compiled: ``auto`` is yes on a GPU, where `LONG` says so.
    device : str
    memory : int, optional
        Bytes that tiles of kernels may take; by default as `ansatz.devices.working_memory` has it.
    random_state : int or RandomState, optional

    Attributes
    ----------
    M_ : ndarray or None
        The feature matrix over patches, (patch, patch), in the order channel, row, column.
    alphas_ : ndarray
        (images, classes), beside the kernel divided by its largest entry.
    history_ : list of dict
        A row for each iteration and ridge: iteration, ridge, accuracy and mse on what is selected on, selected.
    iterations_ : list of Iteration
    iteration_ : int
        The selected one; `regression_` predicts.
    classes_, n_features_in_
        As in scikit-learn.
    """

    def __init__(
        self,
        kernel: str = "cntk",
        *,
        depth: int = 3,
        patch_size: int = 3,
        padding: int = 0,
        bandwidth: float = 10.0,
        iterations: int = 3,
        ridges: Sequence[float] = (1e-5, 1e-3, 1e-1),
        centres: int | None = None,
        samples: int = 20,
        sample: str = "random",
        power: float = 1.0,
        threshold: float = 0.0,
        selection: str = "validation",
        alphas: str = "selected",
        best_m: str = "learned",
        norm: str = "identity",
        dtype: str = "float32",
        compile: bool | str = "auto",
        device: str = "cpu",
        memory: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.kernel, self.depth, self.patch_size, self.padding = kernel, depth, patch_size, padding
        self.bandwidth, self.iterations, self.ridges, self.centres = bandwidth, iterations, ridges, centres
        self.samples, self.sample, self.power, self.threshold = samples, sample, power, threshold
        self.selection, self.alphas, self.best_m, self.norm = selection, alphas, best_m, norm
        self.dtype, self.compile, self.device, self.memory = dtype, compile, device, memory
        self.random_state = random_state

    def fit(self, X: Any, y: Any, X_test: Any = None, y_test: Any = None) -> "ConvRFM":
        """Learn features and regression.

        Parameters
        ----------
        X : array (n, channels, height, width) or (n, features)
        y : array (n,)
            Labels of any kind.
        X_test, y_test : array, optional
            What `selection="test"` selects on.

        Raises
        ------
        UserError
            If a parameter is out of range, or images are too small for the kernel.
        ValueError
            If images or labels are not such.
        """
        self._check_parameters()
        X, labels = self._checked_with_labels(X, y)
        rng = check_random_state(self.random_state)
        x = self._images(X)
        kernel = self._kernel(x)
        targets = torch.eye(len(self.classes_), dtype=torch.float64, device=x.device)[labels]  # (n, classes)
        if self.selection == "test":
            selected_on = self._given(X_test, y_test)
            x_learn, t_learn = x, targets
        else:
            rest, aside = held_out(len(x), rng)
            selected_on = x[aside], labels[aside]
            x_learn, t_learn = x[rest], targets[rest]
        self._iterate(kernel, x_learn, t_learn, selected_on, rng)
        self.regression_, self._ridge = self._selected()
        if self.selection == "validation":
            factor, ridge = self.regression_.factor, self.regression_.ridges[self._ridge]
            self.regression_, self._ridge = self._regress(kernel, x, targets, [ridge], factor, rng), 0
        self.alphas_ = self.regression_.alphas[self._ridge].cpu().numpy()
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the outputs, (n, classes); of two classes, the second's less the first's, (n,)."""
        images = self._images(self._checked(X))
        return self._decisions(self.regression_.outputs(images)[self._ridge])

    @property
    def feature_layers(self) -> int:
        """One, unless it is the plain kernel machine."""
        return int(self.iterations > 0)

    def features(self) -> tuple[nn.Module, dict[str, FeatureMatrix]]:
        """Return a convolution as large as the patches, called 0, and `M_`; nothing where that is none."""
        check_is_fitted(self)
        channels = self.image_shape_[0]
        conv = nn.Conv2d(channels, 1, self.patch_size, padding=self.padding, bias=False)
        return nn.Sequential(conv), {} if self.M_ is None else {"0": self._matrix(self.M_, channels)}

    def _matrix(self, matrix: np.ndarray, channels: int) -> FeatureMatrix:
        return FeatureMatrix.of(torch.from_numpy(matrix), (channels, self.patch_size, self.patch_size))

    @property
    def history_(self) -> list[dict[str, float]]:
        """A row for each iteration and ridge."""
        best = (self.iteration_, self._best_ridge(self.iterations_[self.iteration_]))
        return [
            {
                "iteration": number,
                "ridge": one.regression.ridges[ridge],
                "accuracy": one.accuracies[ridge],
                "mse": one.errors[ridge],
                "selected": (number, ridge) == best,
            }
            for number, one in enumerate(self.iterations_)
            for ridge in range(len(one.accuracies))
        ]

    # --------------------------------------------------------------------------------------------- the steps of `fit`
    def _given(self, X_test: Any, y_test: Any) -> tuple[torch.Tensor, np.ndarray]:
        """Return the images to select on, and the numbers of their classes."""
        if X_test is None or y_test is None:
            raise UserError("selection: 'test' takes images and labels to select on; give fit X_test and y_test")
        images, labels = self._checked(X_test), np.asarray(y_test)
        if labels.shape != images.shape[:1]:
            raise ValueError(f"y_test has the shape {labels.shape}, but there are {len(images)} images in X_test")
        if unknown := sorted(set(labels.tolist()) - set(self.classes_.tolist())):
            raise UserError(
                f"y_test: there are no images to learn from of the label {unknown[0]!r}; give some, or more"
            )
        return self._images(images), np.searchsorted(self.classes_, labels)

    def _iterate(
        self,
        kernel: Kernel,
        x: torch.Tensor,
        targets: torch.Tensor,
        selected_on: tuple[torch.Tensor, np.ndarray],
        rng: np.random.RandomState,
    ) -> None:
        images, labels = selected_on
        right = torch.from_numpy(labels).to(x.device)
        one_hot = torch.eye(targets.shape[1], dtype=torch.float64, device=x.device)[right]
        matrix, factor = None, None
        self.iterations_ = []
        for number in range(self.iterations + 1):
            regression = self._regress(kernel, x, targets, self.ridges, factor, rng)
            outputs = regression.outputs(images).double()  # (ridges, n, classes)
            accuracies = (outputs.argmax(2) == right).double().mean(1).tolist()
            errors = (outputs - one_hot).square().sum(2).mean(1).tolist()
            self.iterations_.append(Iteration(matrix, regression, accuracies, errors))
            if number < self.iterations:
                ridge = len(self.ridges) - 1 if self.alphas == "last_ridge" else self._best_ridge(self.iterations_[-1])
                count = min(self.samples, len(x))
                chosen = np.arange(count) if self.sample == "first" else rng.permutation(len(x))[:count]
                matrix, factor = self._learnt(regression.agop(ridge, x[chosen]), x)

    def _regress(
        self,
        kernel: Kernel,
        x: torch.Tensor,
        targets: torch.Tensor,
        ridges: Sequence[float],
        factor: torch.Tensor | None,
        rng: np.random.RandomState,
    ) -> KernelRidge:
        memory = self.memory or working_memory(x.device)
        if self.centres is None or self.centres >= len(x):
            return kernel_ridge(kernel, x, targets, ridges, factor, memory=memory)
        centres = x[rng.permutation(len(x))[: self.centres]]
        return nystroem(kernel, x, targets, centres, ridges, factor, memory=memory)

    def _learnt(self, agop: torch.Tensor, x: torch.Tensor) -> tuple[np.ndarray | None, torch.Tensor | None]:
        """Return M, and the factor that patches are multiplied by: of M^(1/2), its smallest eigenvalues taken for 0."""
        if not agop.isfinite().all():
            raise UserError(f"images: the AGOP is not finite in {self.dtype}; scale them, or take another bandwidth")
        values, vectors = torch.linalg.eigh(agop.double())  # rising
        if not values[-1] > 0:
            LOG.warning("the AGOP is 0, as the predictor is constant near images: there are no features to learn")
            return None, None
        relative = (values / values[-1]).clamp_min(0) ** self.power
        total = relative.sum()
        trace = {"identity": len(values), "unit": 1, "none": values[-1] ** self.power * total}[self.norm]
        if not torch.finfo(x.dtype).tiny < float(trace) < torch.finfo(x.dtype).max:
            raise UserError(f"power: {self.power:g} takes M (norm {self.norm}) out of {self.dtype}'s range; lower it")
        values = relative * (trace / total)
        matrix = (vectors * values) @ vectors.mT
        values[: int(self.threshold * len(values))] = 0
        kept = values > 0
        factor = values[kept].sqrt().unsqueeze(1) * vectors[:, kept].mT  # (rank, patch)
        return matrix.cpu().numpy(), factor.to(x)

    def _selected(self) -> tuple[KernelRidge, int]:
        """Set iteration and M; return the regression, and which of its ridges."""
        ranks = [self._rank(one, self._best_ridge(one)) for one in self.iterations_]
        self.iteration_ = ranks.index(max(ranks))
        chosen = self.iterations_[self.iteration_]
        if self.best_m == "last" or len(ranks) == 1:
            self.M_ = self.iterations_[-1].matrix
        elif self.best_m == "strict":
            self.M_ = chosen.matrix
        else:
            self.M_ = self.iterations_[1 + ranks[1:].index(max(ranks[1:]))].matrix
        return chosen.regression, self._best_ridge(chosen)

    def _rank(self, one: Iteration, ridge: int) -> tuple[float, ...]:
        """Return what is the larger the better; among equals the first is taken."""
        accuracy = one.accuracies[ridge]
        return (accuracy,) if self.best_m == "strict" else (accuracy, -one.errors[ridge])

    def _best_ridge(self, one: Iteration) -> int:
        ranks = [self._rank(one, ridge) for ridge in range(len(one.accuracies))]
        return ranks.index(max(ranks))

    def _kernel(self, x: torch.Tensor) -> Kernel:
        make = KERNELS[self.kernel]
        taken = signature(make).parameters
        wanted = {name: value for name, value in self.get_params().items() if name in taken}
        kernel = make(**{name: int(value) if isinstance(value, Integral) else value for name, value in wanted.items()})
        pairs = (self.iterations + 1) * len(x) * min(len(x), self.centres or len(x)) * x[0, 0].numel()
        return compiled(kernel) if compiles("compile", self.compile, x.device, long=pairs >= LONG) else kernel

    def _check_parameters(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(f"{name}: {getattr(self, name)!r} is none of {', '.join(map(str, choices))}")
        self._check_whole(depth=1, patch_size=1, padding=0, iterations=0, samples=1)
        self._check_whole(optional=True, centres=1, memory=1)
        for name in ("bandwidth", "power"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 < value < math.inf:
                raise UserError(f"{name}: {value!r}; it takes a number above 0")
        if not _is_number(self.threshold) or not 0 <= self.threshold < 1:
            raise UserError(f"threshold: {self.threshold!r}; it takes a number, 0 at least, and less than 1")
        ridges = np.asarray(self.ridges)
        if (
            ridges.ndim != 1
            or ridges.dtype.kind not in "fi"
            or not ridges.size
            or not ((ridges >= 0) & (ridges < math.inf)).all()
        ):
            raise UserError(f"ridges: {self.ridges!r}; it takes a list of numbers, one at least, none of them below 0")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


class DeepConvRFM(ImageClassifier):
    """A deep convolutional recursive feature machine: layers of filters drawn from the AGOPs of kernel machines.

    Each layer is a `ConvRFM` on what the filters of the layers before made of the images, with a kernel one convolution
    shallower; the last one predicts.

    Parameters
    ----------
    machine : ConvRFM, optional
        What each layer is a copy of, but for the depth.
    layers : int, optional
        How many; by default as many as the kernel's depth.
    width : int
        Filters a layer. They are Gaussian of covariance M, its trace 1, without bias; where M is none
        (``best_m="strict"``) as PyTorch initializes a convolution.
    nonlinearity : {None, "relu"}
        What follows the filters: nothing in the authors' code, though there is one in their algorithm.

    Attributes
    ----------
    machines_ : list of ConvRFM
    filters_ : list of ndarray
        Between them, (width, channels, patch_size, patch_size).
    M_ : list of ndarray or None
        Of each machine.
    alphas_, classes_
        As for the last `ConvRFM`.
    history_ : list of dict
        As for `ConvRFM`, with the layer.
    """

    def __init__(
        self,
        machine: ConvRFM | None = None,
        *,
        layers: int | None = None,
        width: int = 64,
        nonlinearity: str | None = None,
    ) -> None:
        self.machine, self.layers, self.width, self.nonlinearity = machine, layers, width, nonlinearity

    def fit(self, X: Any, y: Any, X_test: Any = None, y_test: Any = None) -> "DeepConvRFM":
        """Learn layer by layer; parameters and errors are as for `ConvRFM.fit`."""
        if self.nonlinearity not in NONLINEARITIES:
            raise UserError(f"nonlinearity: {self.nonlinearity!r} is none of None, relu")
        self._check_whole(width=1)
        self._check_whole(optional=True, layers=1)
        prototype = self.machine or ConvRFM()
        prototype._check_parameters()
        X, _ = self._checked_with_labels(X, y)
        layers = prototype.depth if self.layers is None else self.layers
        X_test = None if X_test is None else self._checked(X_test)
        seed = prototype.random_state  # one for all, so that they hold out the same, and a ConvRFM of that seed too
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31)
        self.machines_, self.filters_ = [], []
        for layer in range(layers):
            depth = max(1, prototype.depth - layer)
            machine = clone(prototype).set_params(depth=depth, random_state=seed)
            self.machines_.append(machine.fit(X, y, X_test, y_test))
            if layer < layers - 1:
                self.filters_.append(self._drawn(machine, X.shape[1], stream(int(seed), "filters", layer)))
                X, X_test = (None if images is None else self._layer(images, layer) for images in (X, X_test))
        self.alphas_ = self.machines_[-1].alphas_
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the outputs of the last machine, as `ConvRFM.decision_function`."""
        X = self._checked(X)
        for layer in range(len(self.filters_)):
            X = self._layer(X, layer)
        return self.machines_[-1].decision_function(X)  # (n, classes) or (n,)

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """Yield the labels that each machine predicts, (n,): the first has no layer before it."""
        check_is_fitted(self)
        X = self._checked(X)
        for layer, machine in enumerate(self.machines_):
            yield machine.predict(X)
            X = self._layer(X, layer) if layer < len(self.filters_) else X

    @property
    def feature_layers(self) -> int:
        """How many machines there are."""
        return len(self.machines_)

    def features(self) -> tuple[nn.Module, dict[str, FeatureMatrix]]:
        """Return the layers of filters and a last convolution as large as the patches, and the matrix of each."""
        check_is_fitted(self)
        layers = nn.Sequential()
        matrices: dict[str, FeatureMatrix] = {}
        for number, machine in enumerate(self.machines_):
            (last,), found = machine.features()
            if number < len(self.filters_):
                weight = torch.from_numpy(self.filters_[number])  # (width, channels, patch_size, patch_size)
                last = nn.Conv2d(weight.shape[1], self.width, machine.patch_size, padding=machine.padding, bias=False)
                last.weight = nn.Parameter(weight)
            matrices |= {str(len(layers)): matrix for matrix in found.values()}
            layers.extend([last, nn.ReLU() if self.nonlinearity else nn.Identity()])
        return layers, matrices

    @property
    def M_(self) -> list[np.ndarray | None]:
        """The feature matrix of each machine."""
        return [machine.M_ for machine in self.machines_]

    @property
    def history_(self) -> list[dict[str, float]]:
        """A row for each layer, iteration and ridge."""
        return [{"layer": layer} | row for layer, machine in enumerate(self.machines_) for row in machine.history_]

    def _drawn(self, machine: ConvRFM, channels: int, seed: int) -> np.ndarray:
        """Return filters of covariance M, of trace 1; where there is no M, as PyTorch initializes a convolution."""
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
        made = conv2d(x, filters.to(x), padding=int(machine.padding))
        return NONLINEARITIES[self.nonlinearity](made).cpu().numpy()
