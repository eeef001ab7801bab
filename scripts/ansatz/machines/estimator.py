"""The base class of classifiers of images, which are estimators of scikit-learn."""

from collections.abc import Iterator
from typing import Any, get_type_hints

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from ansatz.devices import find_device
from ansatz.errors import UserError
from ansatz.features.matrix import FeatureMatrix
from ansatz.machines.parameters import check_parameters

VALIDATION_SHARE = 0.2


def held_out(count: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to fit on and the rows to select on; the latter are a share of `VALIDATION_SHARE`."""
    aside, rest = np.split(rng.permutation(count), [max(1, round(VALIDATION_SHARE * count))])
    return rest, aside


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of images; subclasses define `fit`, `decision_function` and `features`."""

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted labels of images, (n,)."""
        outputs = self.decision_function(X)
        return self.classes_[(outputs > 0).astype(int) if outputs.ndim == 1 else outputs.argmax(1)]

    def _decisions(self, outputs: torch.Tensor) -> np.ndarray:
        """Return outputs (n, classes) in scikit-learn's form: for two classes a single column, (n,)."""
        decisions = outputs.cpu().numpy()
        if not np.isfinite(decisions).all():
            raise UserError(f"images: outputs are not finite in {outputs.dtype}; scale the images as those of fit")
        return decisions[:, 1] - decisions[:, 0] if len(self.classes_) == 2 else decisions

    @property
    def feature_layers(self) -> int:
        """The number of layers that learn features."""
        raise NotImplementedError

    def features(self) -> tuple[nn.Module, dict[str, FeatureMatrix]]:
        """Return a network, and by layer the feature matrices of its convolutions; without any if none was learned."""
        raise NotImplementedError

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """Yield the labels that each layer predicts, (n,), where layers do; otherwise only those of `predict`."""
        yield self.predict(X)

    def _check_parameters(self) -> None:
        check_parameters(self.get_params(deep=False), get_type_hints(type(self).__init__, include_extras=True))

    def _checked(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, allow_nd=True, dtype=("float64", "float32"), reset=False)
        if X.shape[1:] != self.image_shape_:
            raise ValueError(f"images have the shape {X.shape[1:]}, but those of fit had {self.image_shape_}")
        return X

    def _checked_with_labels(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(self, X, y, allow_nd=True, dtype=("float64", "float32"), ensure_min_samples=2)
        check_classification_targets(y)
        if X.ndim not in (2, 4) or 0 in X.shape:
            raise ValueError(f"Found array with dim {X.ndim}, {X.shape}; images must be (n, channels, height, width)")
        self.image_shape_ = X.shape[1:]
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError(f"labels: all {len(y)} images belong to class {y[0]}; at least two classes are required")
        return X, labels

    def _images(self, X: np.ndarray) -> torch.Tensor:
        images = X.reshape(*X.shape[:2], *(X.shape[2:] or (1, 1)))  # (n, channels, height, width)
        dtype = getattr(torch, getattr(self, "dtype", "float32"))
        x = torch.tensor(images, dtype=dtype, device=find_device(self.device))
        if not x.isfinite().all():
            raise UserError(f"images: values up to {abs(images).max():.3g} are too large for {dtype}; scale them")
        return x
