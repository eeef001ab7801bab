"""The convolutional recursive feature machine: a kernel machine that learns features without backpropagation.

It alternates between kernel ridge regression and the AGOP of the resulting predictor, and uses the AGOP to transform
the patches of the next kernel. Beaglehole, Radhakrishnan, Pandit and Belkin (2023), section 3.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Interval, MinLen
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ansatz.devices import compiles, working_memory
from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix
from ansatz.machines.compiled import compiled
from ansatz.machines.estimator import ImageClassifier, held_out
from ansatz.machines.kernels import Kernel
from ansatz.machines.parameters import check_parameters
from ansatz.machines.ridge import KernelRidge, kernel_ridge, nystroem
from ansatz.registry import find

LOG = logging.getLogger(__name__)
LONG = 1e12  # pairs of pixels in all iterations above which compiling should pay on a GPU: an estimate, not measured


@dataclass(frozen=True)
class Iteration:
    """The result of one iteration.

    Attributes
    ----------
    matrix : ndarray or None
        The feature matrix M of its kernel, (patch, patch); None for the identity, as in the first iteration and
        wherever the AGOP before it was 0.
    regression : KernelRidge
    accuracies : list of float
        For each ridge, the accuracy on the images on which ridge and iteration are selected.
    errors : list of float
        For each ridge, the mean over these images of the squared error of the outputs, summed over classes.
    """

    matrix: np.ndarray | None
    regression: KernelRidge
    accuracies: list[float]
    errors: list[float]


class ConvRFM(ImageClassifier):
    """A convolutional recursive feature machine.

    Images are (n, channels, height, width). A table (n, features) is treated as images of one pixel: with
    ``patch_size=1`` this is the recursive feature machine of Radhakrishnan et al. (2022).

    Parameters
    ----------
    kernel : str
        Name of the kernel of patches.
    depth : int
        Number of convolutions of the network whose kernel this is.
    patch_size : int
        Side of the patches, in pixels.
    padding : int
        Width of the border of zeros around the images, in pixels.
    kernel_options : mapping of str to Any, optional
        Further options of the kernel, such as the Laplace kernel's ``bandwidth``.
    iterations : int
        How many times the AGOP is computed; 0 is the plain kernel machine.
    ridges : sequence of float
        Candidate ridge penalties, relative to the kernel's largest entry.
    centres : int, optional
        Number of random images to solve from (Nyström), for kernels that do not fit into memory; null uses all images.
    sample_size : int
        Number of images over which the AGOP is averaged.
    sampling : {"random", "first"}
        Which images these are: random ones, or the first, as in the authors' code.
    power : float
        Power of the AGOP that is the feature matrix M, whose root transforms the patches; 2 in the authors' code.
    threshold : float
        Share of the eigenvalues of M, the smallest, that is set to 0 when patches are transformed.
    trace : {"identity", "unit", "agop"}
        Trace of M, which acts as a bandwidth and does not change homogeneous kernels such as the CNTK: that of the
        identity, 1 (as in the authors' code), or the AGOP's own.
    selection : {"validation", "test"}
        Images on which ridge and iteration are selected: a held-out fifth, after which the model is refitted on all
        images; or the test images, as in the authors' code, whose accuracies are too high for it.
    agop_ridge : {"best", "last"}
        Ridge whose predictor's AGOP is computed: the best one, or the last, as in the authors' code.
    ties : {"error", "first"}
        How ridges and iterations of equal accuracy are ranked: by their squared error; or the first is the best, as in
        the authors' code.
    final_m : {"learned", "selected", "last"}
        Iteration whose M is kept: the best that learned one; the selected one, which may have none, as in the authors'
        code; or the last.
    dtype : {"float32", "float64"}
        Floating type in which kernels are computed.
    compile : {"auto", True, False}
        Whether kernels are compiled; auto compiles large kernels on a GPU.
    device : str
        As for `ansatz.devices.find_device`.
    memory : int, optional
        Bytes available for tiles of kernels; by default those of `ansatz.devices.working_memory`.
    random_state : int or RandomState, optional
        Determines the held-out images, the centres and the samples.

    Attributes
    ----------
    M_ : ndarray or None
        The feature matrix over patches, (patch, patch), in the order channel, row, column.
    alphas_ : ndarray
        (images, classes), the coefficients of the kernel divided by its largest entry.
    history_ : list of dict
        A row per iteration and ridge: iteration, ridge, accuracy and mse on the images to select on, selected.
    iterations_ : list of Iteration
    iteration_ : int
        The selected iteration, whose regression is `regression_`.
    classes_, n_features_in_
        As in scikit-learn.
    """

    def __init__(
        self,
        kernel: str = "cntk",
        *,
        depth: Annotated[int, Interval(ge=1, le=20)] = 3,
        patch_size: Annotated[int, Interval(ge=1, le=31)] = 3,
        padding: Annotated[int, Interval(ge=0, le=15)] = 0,
        kernel_options: Mapping[str, Any] | None = None,
        iterations: Annotated[int, Interval(ge=0, le=100)] = 3,
        ridges: Annotated[Sequence[Annotated[float, Ge(0)]], MinLen(1)] = (1e-5, 1e-3, 1e-1),
        centres: Annotated[int, Ge(1)] | None = None,
        sample_size: Annotated[int, Ge(1)] = 20,
        sampling: Literal["random", "first"] = "random",
        power: Annotated[float, Gt(0)] = 1.0,
        threshold: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        trace: Literal["identity", "unit", "agop"] = "identity",
        selection: Literal["validation", "test"] = "validation",
        agop_ridge: Literal["best", "last"] = "best",
        ties: Literal["error", "first"] = "error",
        final_m: Literal["learned", "selected", "last"] = "learned",
        dtype: Literal["float32", "float64"] = "float32",
        compile: Literal["auto", True, False] = "auto",
        device: str = "cpu",
        memory: Annotated[int, Ge(1)] | None = None,
        random_state: Any = None,
    ) -> None:
        self.kernel, self.depth, self.patch_size, self.padding = kernel, depth, patch_size, padding
        self.kernel_options, self.iterations, self.ridges, self.centres = kernel_options, iterations, ridges, centres
        self.sample_size, self.sampling, self.power, self.threshold = sample_size, sampling, power, threshold
        self.trace, self.selection, self.agop_ridge = trace, selection, agop_ridge
        self.ties, self.final_m = ties, final_m
        self.dtype, self.compile, self.device, self.memory = dtype, compile, device, memory
        self.random_state = random_state

    def fit(self, X: Any, y: Any, X_test: Any = None, y_test: Any = None) -> "ConvRFM":
        """Learn the feature matrix and the regression.

        Parameters
        ----------
        X : array (n, channels, height, width) or (n, features)
        y : array (n,)
            Labels of any kind.
        X_test, y_test : array, optional
            The images and labels that ``selection="test"`` selects on.

        Raises
        ------
        UserError
            If a parameter is out of range, or the images are too small for the kernel.
        ValueError
            If the images or labels have the wrong shape or type.
        """
        self._check_parameters()
        X, labels = self._checked_with_labels(X, y)
        rng = check_random_state(self.random_state)
        x = self._images(X)
        kernel = self._kernel(x)
        targets = torch.eye(len(self.classes_), dtype=torch.float64, device=x.device)[labels]  # (n, classes)
        if self.selection == "test":
            validation = self._test_images(X_test, y_test)
            self._iterate(kernel, x, targets, validation, rng)
        else:
            rest, aside = held_out(len(x), rng)
            self._iterate(kernel, x[rest], targets[rest], (x[aside], labels[aside]), rng)
        self.regression_, self._ridge = self._selected()
        if self.selection == "validation":
            factor, ridge = self.regression_.factor, self.regression_.ridges[self._ridge]
            self.regression_, self._ridge = self._regress(kernel, x, targets, [ridge], factor, rng), 0
        self.alphas_ = self.regression_.alphas[self._ridge].cpu().numpy()
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the outputs, (n, classes); for two classes the difference of second and first, (n,)."""
        images = self._images(self._checked(X))
        return self._decisions(self.regression_.outputs(images)[self._ridge])

    @property
    def feature_layers(self) -> int:
        """One; none in the plain kernel machine."""
        return int(self.iterations > 0)

    def features(self) -> tuple[nn.Module, dict[str, FeatureMatrix]]:
        """Return a convolution of the patches' size, named 0, and its matrix `M_`, where there is one."""
        check_is_fitted(self)
        channels = self.image_shape_[0]
        conv = nn.Conv2d(channels, 1, self.patch_size, padding=self.padding, bias=False)
        return nn.Sequential(conv), {} if self.M_ is None else {"0": self._matrix(self.M_, channels)}

    def _matrix(self, matrix: np.ndarray, channels: int) -> FeatureMatrix:
        return FeatureMatrix.of(torch.from_numpy(matrix), (channels, self.patch_size, self.patch_size))

    @property
    def history_(self) -> list[dict[str, float]]:
        """A row per iteration and ridge."""
        best = (self.iteration_, self._best_ridge(self.iterations_[self.iteration_]))
        return [
            {
                "iteration": number,
                "ridge": iteration.regression.ridges[ridge],
                "accuracy": iteration.accuracies[ridge],
                "mse": iteration.errors[ridge],
                "selected": (number, ridge) == best,
            }
            for number, iteration in enumerate(self.iterations_)
            for ridge in range(len(iteration.accuracies))
        ]

    # --------------------------------------------------------------------------------------------- the steps of `fit`
    def _test_images(self, X_test: Any, y_test: Any) -> tuple[torch.Tensor, np.ndarray]:
        """Return the test images to select on, and the indices of their classes."""
        if X_test is None or y_test is None:
            raise UserError("selection: 'test' requires images and labels to select on; pass X_test and y_test to fit")
        images, labels = self._checked(X_test), np.asarray(y_test)
        if labels.shape != images.shape[:1]:
            raise ValueError(f"y_test has the shape {labels.shape}, but there are {len(images)} images in X_test")
        if unknown := sorted(set(labels.tolist()) - set(self.classes_.tolist())):
            raise UserError(f"y_test: no training image has the label {unknown[0]!r}; use more training images")
        return self._images(images), np.searchsorted(self.classes_, labels)

    def _iterate(
        self,
        kernel: Kernel,
        x: torch.Tensor,
        targets: torch.Tensor,
        validation: tuple[torch.Tensor, np.ndarray],
        rng: np.random.RandomState,
    ) -> None:
        images, labels = validation
        expected = torch.from_numpy(labels).to(x.device)
        one_hot = torch.eye(targets.shape[1], dtype=torch.float64, device=x.device)[expected]
        matrix, factor = None, None
        self.iterations_ = []
        for number in range(self.iterations + 1):
            regression = self._regress(kernel, x, targets, self.ridges, factor, rng)
            outputs = regression.outputs(images).double()  # (ridges, n, classes)
            accuracies = (outputs.argmax(2) == expected).double().mean(1).tolist()
            errors = (outputs - one_hot).square().sum(2).mean(1).tolist()
            self.iterations_.append(Iteration(matrix, regression, accuracies, errors))
            if number < self.iterations:
                ridge = len(self.ridges) - 1 if self.agop_ridge == "last" else self._best_ridge(self.iterations_[-1])
                size = min(self.sample_size, len(x))
                sample = np.arange(size) if self.sampling == "first" else rng.permutation(len(x))[:size]
                matrix, factor = self._feature_matrix(regression.agop(ridge, x[sample]), x)

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

    def _feature_matrix(self, agop: torch.Tensor, x: torch.Tensor) -> tuple[np.ndarray | None, torch.Tensor | None]:
        """Return M and a factor of it, whose smallest eigenvalues are set to 0, by which patches are multiplied."""
        if not agop.isfinite().all():
            raise UserError(f"images: the AGOP is not finite in {self.dtype}; scale them, or change the bandwidth")
        values, vectors = torch.linalg.eigh(agop.double())  # in ascending order
        if not values[-1] > 0:
            LOG.warning(
                "the AGOP is 0 because the predictor is constant near the images: there are no features to learn"
            )
            return None, None
        relative = (values / values[-1]).clamp_min(0) ** self.power
        total = relative.sum()
        trace = {"identity": len(values), "unit": 1, "agop": values[-1] ** self.power * total}[self.trace]
        if not torch.finfo(x.dtype).tiny < float(trace) < torch.finfo(x.dtype).max:
            raise UserError(
                f"power: with {self.power:g} and trace: {self.trace}, M is out of the range of {self.dtype}; lower it"
            )
        values = relative * (trace / total)
        matrix = (vectors * values) @ vectors.mT
        values[: int(self.threshold * len(values))] = 0
        kept = values > 0
        factor = values[kept].sqrt().unsqueeze(1) * vectors[:, kept].mT  # (rank, patch)
        return matrix.cpu().numpy(), factor.to(x)

    def _selected(self) -> tuple[KernelRidge, int]:
        """Set the selected iteration and M; return the regression and the index of its ridge."""
        ranks = [self._rank(iteration, self._best_ridge(iteration)) for iteration in self.iterations_]
        self.iteration_ = ranks.index(max(ranks))
        selected = self.iterations_[self.iteration_]
        if self.final_m == "last" or len(ranks) == 1:
            self.M_ = self.iterations_[-1].matrix
        elif self.final_m == "selected":
            self.M_ = selected.matrix
        else:
            self.M_ = self.iterations_[1 + ranks[1:].index(max(ranks[1:]))].matrix
        return selected.regression, self._best_ridge(selected)

    def _rank(self, iteration: Iteration, ridge: int) -> tuple[float, ...]:
        """Return a key that is largest for the best; the first of equal ones is selected."""
        accuracy = iteration.accuracies[ridge]
        return (accuracy,) if self.ties == "first" else (accuracy, -iteration.errors[ridge])

    def _best_ridge(self, iteration: Iteration) -> int:
        ranks = [self._rank(iteration, ridge) for ridge in range(len(iteration.accuracies))]
        return ranks.index(max(ranks))

    def _kernel(self, x: torch.Tensor) -> Kernel:
        registered = find("kernel", self.kernel)
        shared = {name: getattr(self, name) for name in ("depth", "patch_size", "padding")}
        options = {name: value for name, value in shared.items() if name in registered.types}
        for name, value in (self.kernel_options or {}).items():
            if name in shared or name not in registered.types:
                own = ", ".join(sorted(registered.types.keys() - shared.keys())) or "none"
                raise UserError(f"kernel_options: {name!r} is no option of {self.kernel}'s own; these are: {own}")
            options[name] = value
        check_parameters(options, registered.types)
        kernel = registered.object(**{name: _plain(value) for name, value in options.items()})
        pairs = (self.iterations + 1) * len(x) * min(len(x), self.centres or len(x)) * x[0, 0].numel()
        return compiled(kernel) if compiles("compile", self.compile, x.device, long=pairs >= LONG) else kernel


def _plain(value: Any) -> Any:
    """Return Python's own number for a whole number of NumPy's."""
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else value
