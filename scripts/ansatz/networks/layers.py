"""Layers of networks, and the convolutions of a network."""

from typing import cast

import torch
from torch import nn


def scaled(channels: int, width: float) -> int:
    """Return a layer's number of channels at this width, at least 1."""
    return max(1, round(channels * width))


class AveragePool(nn.AdaptiveAvgPool2d):
    """PyTorch's adaptive pooling; as two matrix products where determinism is required, which CUDA's kernel lacks."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the averages, (n, channels, rows, columns), of x (n, channels, height, width)."""
        if not torch.are_deterministic_algorithms_enabled():
            return super().forward(x)
        rows, columns = map(self._bins, cast(tuple[int, int], self.output_size), x.shape[2:], (x, x))
        return rows @ x @ columns.mT

    @staticmethod
    def _bins(count: int, length: int, like: torch.Tensor) -> torch.Tensor:
        bins, positions = torch.arange(count, device=like.device)[:, None], torch.arange(length, device=like.device)
        first, end = bins * length // count, ((bins + 1) * length + count - 1) // count
        inside = ((first <= positions) & (positions < end)).to(like.dtype)  # (count, length)
        return inside / inside.sum(1, keepdim=True)


def conv_layers(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Return all convolutions of a network, however deeply nested, by name and in the network's order."""
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
