"""What a kernel of images is, and the arithmetic that kernels share.

A kernel of a convolutional network of infinite width with a flat read-out compares the patches of two images at the
*same* position only, and so does the Laplace patch kernel of Beaglehole, Radhakrishnan, Pandit and Belkin (2023). At a
position ``p``, with patches ``v`` and ``w``, each is a function of three numbers::

    q12 = s (F v) . (F w)      q11 = s |F v|²      q22 = s |F w|²

where `F` is a factor of the feature matrix ``M = F.T @ F`` (the identity at first) and `s` is the kernel's scale. A
kernel is a dataclass with the functions that `Kernel` names, decorated with `ansatz.registry.kernel`; its fields are
its options. Tiles of pairs, gradients and AGOPs follow from these functions (`ansatz.machines.kernel_matrix`).

Positions are the first two axes of all arrays, so that sums over neighbouring positions run over long rows.
"""

from typing import Protocol

import torch

NOISE = 16  # a difference of fewer roundings than this is taken to be zero


class Kernel(Protocol):
    """A kernel of images that compares patches at the same position.

    q12 is (rows, columns, n1, n2), q11 (rows, columns, n1, 1) and q22 (rows, columns, 1, n2).
    """

    @property
    def patch_size(self) -> int:
        """Side of the patches, in pixels."""

    @property
    def padding(self) -> int:
        """Width of the border of zeros around the images, in pixels."""

    @property
    def depth(self) -> int:
        """How many convolutions follow each other: at least one pixel of an image must remain after them."""

    def scale(self, channels: int) -> float:
        """Return the factor of inner products of patches that have this number of channels."""

    def values(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> torch.Tensor:
        """Return the kernel, (n1, n2)."""

    def diagonal(self, q: torch.Tensor) -> torch.Tensor:
        """Return the kernel of each image with itself, (n,), from q = q11 of shape (rows, columns, n), exactly."""

    def derivatives(self, q12: torch.Tensor, q11: torch.Tensor, q22: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the derivatives by q12 and by q22, each of the shape of q12; 0 where there is none."""


def without_noise(difference: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
    """Set a difference to 0 where it is only a rounding error of its terms; both tensors are overwritten."""
    return difference.masked_fill_(difference <= terms.mul_(NOISE * torch.finfo(terms.dtype).eps), 0)


def inverse(q: torch.Tensor) -> torch.Tensor:
    """Return ``1 / q``, and 0 where q is 0."""
    return torch.where(q > 0, 1 / q, 0.0)
