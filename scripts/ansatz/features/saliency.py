"""Saliency: what each layer of a network looks at in an image, according to its feature matrix.

After Beaglehole, Radhakrishnan, Pandit and Belkin (2023), section 2.2.
"""

from collections.abc import Mapping

import torch
from torch import nn

from ansatz.features.following import Following, followed, laid_out
from ansatz.features.matrix import FeatureMatrix
from ansatz.networks.evaluation import forward, frozen
from ansatz.networks.maps import LinearMap, linear_maps

CHUNK_BYTES = 2**24  # of transformed patches, so that they stay in the processor's cache


@torch.no_grad()
def saliency(network: nn.Module, image: torch.Tensor, matrices: Mapping[str, FeatureMatrix]) -> dict[str, torch.Tensor]:
    """Return, for each layer, the norm of every patch of its input after transformation by its feature matrix M.

    A patch v becomes ``M^(1/2) v``, with ``|M^(1/2) v|² = v.T M v``. As in the paper, the norm is over the pixels of
    each input channel, and the norms are summed over channels.

    Parameters
    ----------
    network : nn.Module
        Has the layers of `matrices`; runs in evaluation mode.
    image : Tensor
        (1, channels, height, width), normalised; on the network's device and of its type.
    matrices : mapping of str to FeatureMatrix
        By layer; on any device.

    Returns
    -------
    dict of str to Tensor
        By layer, in the order of `matrices`, (rows, columns) of the layer's *output*: a value for each patch that the
        layer itself sees, with its stride and padding; the padding shows as an edge at the border. Of layers that see
        tokens, a value for each token, laid out as the patches of the image are. Layers that the network does not run
        are left out, and so are those that see the image as a whole; for a layer that it runs repeatedly, the last run
        counts.
    """
    if not matrices:
        return {}
    seen = _Saliency(linear_maps(network, list(matrices)), {k: _root(m.factor).to(image) for k, m in matrices.items()})
    with frozen(network), followed(seen), seen:
        forward(network, image)
    return {layer: seen.norms[layer] for layer in matrices if layer in seen.norms}


class _Saliency(Following):
    """Computes the norms of what each layer sees, before later in-place operations may change it."""

    def __init__(self, maps: Mapping[str, LinearMap], roots: Mapping[str, torch.Tensor]) -> None:
        super().__init__(maps)
        self.roots = roots
        self.norms: dict[str, torch.Tensor] = {}  # layer -> (rows, columns)

    def observe(self, parts: Mapping[str, slice], x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        for layer in parts:
            module = self.maps[layer].module
            if isinstance(module, nn.Conv2d):
                self.norms[layer] = _patch_norms(module, x, self.roots[layer])
            elif (norms := _token_norms(x, self.roots[layer])).numel() > 1:
                self.norms[layer] = norms
        return output


def _token_norms(x: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    """Return the norms of transformed tokens (..., channels), as (rows, columns); summed over heads."""
    transformed = torch.einsum("grp,grq,...q->...gp", root, root, x)
    return laid_out(transformed.abs().sum((-2, -1)).unsqueeze(-1))[0]


def _root(factor: torch.Tensor) -> torch.Tensor:
    """Return R with ``R.T @ R = M^(1/2)`` for ``M = F.T @ F``: from ``F @ F.T = U L U.T`` it is ``L^(-1/4) U.T F``.

    `FeatureMatrix.square_root` is accurate for the smallest eigenvalues too, but takes seconds for 512 channels; here
    eigenvalues are accurate to about 1e-8 of the largest, which is enough for pictures.
    """
    factor = factor.double()  # (groups, rank, patch)
    if factor.shape[1] > factor.shape[2]:
        factor = torch.linalg.qr(factor, mode="r").R  # (groups, patch, patch), with the same M
    values, vectors = torch.linalg.eigh(factor @ factor.mT)  # (groups, r), (groups, r, r)
    rounding = values.shape[1] * torch.finfo(values.dtype).eps * values[:, -1:]  # (groups, 1)
    values = values.where(values > rounding, torch.inf)  # rows of R are 0 where the eigenvalue is
    return values.pow(-1 / 4).unsqueeze(2) * (vectors.mT @ factor)  # (groups, r, patch)


def _patch_norms(conv: nn.Conv2d, x: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    """Return the norms of the transformed patches of x, (1, channels, height, width), as (rows, columns).

    With ``M^(1/2) = R.T @ R``, patches are transformed in two steps: a convolution like the layer's own with the rows
    of R as filters, then a product with R.T, for a few channels of the patch at a time.

    Parameters
    ----------
    root : Tensor
        R, (groups, rank, patch).
    """
    groups, rank, _ = root.shape
    channels, rows, columns = conv.weight.shape[1:]
    filters = root.reshape(groups * rank, channels, rows, columns)
    filtered = conv._conv_forward(x, filters, None)[0].unflatten(0, (groups, rank))  # (groups, rank, rows, columns)
    norms = torch.zeros_like(filtered[0, 0])  # (rows, columns)
    chunk = max(1, CHUNK_BYTES // (rows * columns * norms.nbytes))
    for r, z in zip(root.unflatten(2, (channels, rows * columns)), filtered, strict=True):
        for r_chunk in r.split(chunk, dim=1):  # (rank, channels of the chunk, pixels)
            patches = torch.einsum("rcp,rhw->cphw", r_chunk, z)
            norms += patches.square_().sum(1).sqrt_().sum(0)  # several times as fast as vector_norm
    return norms
