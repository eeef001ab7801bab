"""The Laplace kernel of patches, of Beaglehole, Radhakrishnan, Pandit and Belkin (2023)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt, Interval

from ansatz.machines.kernels import inverse, without_noise
from ansatz.registry import kernel


@kernel
@dataclass(frozen=True)
class Laplace:
    """The sum over positions of ``exp(-|F v - F w| / bandwidth)``.

    Attributes
    ----------
    bandwidth : float
        Distance between patches at which the Laplace kernel is 1/e.
    patch_size : int
        Side of the patches, in pixels.
    padding : int
        Width of the border of zeros around the images, in pixels.
    """

    bandwidth: Annotated[float, Gt(0)] = 10.0
    patch_size: Annotated[int, Interval(ge=1, le=31)] = 3
    padding: Annotated[int, Interval(ge=0, le=15)] = 0

    depth = 1

    def scale(self, channels: int) -> float:
        """Return 1: distances are those of the patches themselves."""
        return 1.0

    def values(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        """Return the sum over positions, (n1, n2)."""
        return self._at_positions(self._squares(q12, q11, q22).sqrt_()).sum((0, 1))

    def diagonal(self, q: torch.Tensor) -> torch.Tensor:
        """Return the number of positions, (n,)."""
        return torch.full_like(q[0, 0], q.shape[0] * q.shape[1])

    def derivatives(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the derivatives by q12 and q22; 0 where patches are equal."""
        distance = self._squares(q12, q11, q22).sqrt_()
        by_square = inverse(distance) / self.bandwidth
        by_square *= self._at_positions(distance)
        return by_square, by_square / -2

    def _squares(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        terms = q11 + q22
        return without_noise(terms.sub(q12, alpha=2), terms)

    def _at_positions(self, distance: torch.Tensor) -> torch.Tensor:
        return distance.div_(-self.bandwidth).exp_()
