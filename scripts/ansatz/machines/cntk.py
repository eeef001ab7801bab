"""The neural tangent kernel of a convolutional network, and its kernel as a Gaussian process.

Jacot, Gabriel and Hongler (2018); the expectations of ReLU are those of Cho and Saul (2009).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch.nn.functional import pad

from ansatz.machines.kernels import inverse, without_noise
from ansatz.registry import kernel


@dataclass(frozen=True)
class _Layer:
    """What a convolution and its ReLU compute from a pair of images, at each position."""

    q12: torch.Tensor
    q11: torch.Tensor
    q22: torch.Tensor
    tangent: torch.Tensor  # inner product of the derivatives by the weights of this layer and those before it
    dual: torch.Tensor  # E[relu(u) relu(v)] for Gaussians u, v of covariance [[q11, q12], [q12, q22]], times 2
    slope: torch.Tensor  # E[relu'(u) relu'(v)], times 2
    sine: torch.Tensor  # sqrt(q11 q22 - q12²)


@kernel(without=("tangent",), homogeneous=True)
@dataclass(frozen=True)
class CNTK:
    """The neural tangent kernel of `depth` convolutions with ReLU and a linear read-out of all positions.

    The stride is 1 and only the first convolution is padded. ReLU is multiplied by sqrt(2), which preserves lengths.

    Attributes
    ----------
    depth : int
        Number of convolutions of the network whose kernel this is.
    patch_size : int
        Side of the patches, in pixels.
    padding : int
        Width of the border of zeros around the images, in pixels.
    tangent : bool
        Whether all weights are trained; if only the read-out is, this is the network's kernel as a Gaussian process.
    """

    depth: Annotated[int, Interval(ge=1, le=20)] = 3
    patch_size: Annotated[int, Interval(ge=1, le=31)] = 3
    padding: Annotated[int, Interval(ge=0, le=15)] = 0
    tangent: bool = True

    def scale(self, channels: int) -> float:
        """Return ``1 / channels``, the variance of the weights."""
        return 1 / channels

    def values(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        """Return the mean over positions of the last layer's ``tangent * slope + dual`` (NNGP: ``dual``), (n1, n2)."""
        unit = self._unit(q11, q22)
        *_, last = self._layers(q12 / unit, q11 / unit, q22 / unit)
        return (last.dual.addcmul_(last.tangent, last.slope) if self.tangent else last.dual).mean((0, 1)) * unit

    def diagonal(self, q: torch.Tensor) -> torch.Tensor:
        """Return the mean of q at the last layer, (n,), multiplied by ``depth + 1`` where all weights are trained."""
        for _ in range(1, self.depth):
            q = _box(q, self.patch_size)
        return q.mean((0, 1)) * (self.depth + 1 if self.tangent else 1)

    def derivatives(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the derivatives by backpropagation; that of the slope is 0 where patches are parallel."""
        unit = self._unit(q11, q22)  # on which the derivatives do not depend
        layers = list(self._layers(q12 / unit, q11 / unit, q22 / unit))
        positions = layers[-1].q12.shape[:2].numel()
        by_dual = torch.full_like(layers[-1].q12, 1 / positions)
        by_tangent = by_dual if self.tangent else torch.zeros_like(by_dual)
        by_q22 = torch.zeros_like(by_dual)
        while True:
            layer = layers.pop()
            by_sine = by_tangent * layer.tangent * inverse(layer.sine) / math.pi
            by_tangent = by_tangent * layer.slope
            by_q22 = by_q22 + (by_dual * layer.sine / math.pi - by_sine * layer.q12) * inverse(2 * layer.q22)
            by_q12 = by_dual * layer.slope + by_sine + by_tangent
            if not layers:
                return by_q12, by_q22
            by_dual, by_tangent, by_q22 = (_spread(by, self.patch_size) for by in (by_q12, by_tangent, by_q22))

    def _unit(self, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        """Return a power of two that, as the unit of q, keeps the products of all layers within the range of float32.

        The kernel is homogeneous, so the unit does not change it, and dividing by a power of two rounds nothing.
        """
        largest = q11.amax().sqrt() * q22.amax().sqrt()
        halfway = (self.depth - 1) * math.log2(self.patch_size)
        return torch.exp2((torch.where(largest > 0, largest, 1).log2() + halfway).round())

    def _layers(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> Iterator[_Layer]:
        layer = _Layer(q12, q11, q22, q12, *_relu(q12, q11, q22))
        yield layer
        for _ in range(1, self.depth):
            tangent = _box(torch.addcmul(layer.dual, layer.tangent, layer.slope), self.patch_size)
            q12, q11, q22 = (_box(q, self.patch_size) for q in (layer.dual, layer.q11, layer.q22))
            layer = _Layer(q12, q11, q22, tangent, *_relu(q12, q11, q22))
            yield layer


@kernel(options_of=CNTK, without=("tangent",), homogeneous=True)
def nngp(**options: Any) -> CNTK:
    """The kernel of the CNTK's network as a Gaussian process, of which only the read-out is trained."""
    return CNTK(tangent=False, **options)


def _relu(q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return dual, slope and sine of `_Layer`."""
    square = q11 * q22
    sine = without_noise(square.addcmul(q12, q12, value=-1), square).sqrt_()
    above = torch.finfo(sine.dtype).tiny  # so that the angle between a patch and a blank one is a right angle
    slope = torch.rsub(torch.atan2(sine.clamp(min=above), q12), 1, alpha=1 / math.pi)
    return (slope * q12).add_(sine, alpha=1 / math.pi), slope, sine


def _box(q: torch.Tensor, size: int) -> torch.Tensor:
    """Return the sums over windows of size x size positions, (rows - size + 1, columns - size + 1, ...)."""
    for dim in (0, 1):
        count = q.shape[dim] - size + 1
        total = q.narrow(dim, 0, count)
        for offset in range(1, size):
            other = q.narrow(dim, offset, count)
            total = total + other if offset == 1 else total.add_(other)
        q = total
    return q


def _spread(q: torch.Tensor, size: int) -> torch.Tensor:
    """Return the adjoint of `_box`: the sums over all windows that contain a position."""
    return _box(pad(q, [0, 0, 0, 0, *[size - 1] * 4]), size)
