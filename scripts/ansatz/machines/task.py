"""What a task consists of: images and labels to fit a machine on, and to test it on."""

from dataclasses import dataclass

import numpy as np

from ansatz.errors import UserError


@dataclass(frozen=True)
class Task:
    """Training and test images, float32 (n, channels, height, width), and their labels, int64 (n,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not fit together."""
        for part, x, y in ("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test):
            if np.ndim(x) != 4 or np.shape(y) != np.shape(x)[:1]:
                raise UserError(
                    f"task: x_{part} has shape {np.shape(x)} and y_{part} {np.shape(y)}; they must be (n, channels, "
                    "height, width) and (n,)"
                )
