"""How features form while a network trains: snapshots of its layers, and how similar they are to the final ones.

Follows the experiments of Long, Lam, Yu, Shi and Hu (2023) on LeNet-5 and ResNet-18.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import torch
from torch import nn

from ansatz.data.batches import Images
from ansatz.errors import UserError
from ansatz.features.agop import agop_over
from ansatz.features.alignment import correlation
from ansatz.features.following import Following, followed, laid_out
from ansatz.features.matrix import FeatureMatrix
from ansatz.files.evolution import Evolution, LayerEvolution
from ansatz.networks.evaluation import forward, frozen
from ansatz.networks.maps import LinearMap, studied_maps


class Snapshot(TypedDict):
    """A network at one moment of its training, in the types that checkpoints can hold; tensors are on the CPU."""

    epoch: float  # epochs since the start; a fraction inside the first epoch
    step: int  # steps since the start
    metrics: dict[str, float]  # loss and metrics of the evaluated parts, as in a row of metrics.csv
    filters: dict[str, torch.Tensor]  # layer -> (out, *patch)
    agop: dict[str, torch.Tensor]  # layer -> thin factor (groups, rank, patch)
    outputs: dict[str, torch.Tensor]  # layer -> output for one image (out, rows, columns)


@dataclass(frozen=True)
class Snapshots:
    """What to record of a network while it trains, and when.

    Attributes
    ----------
    layers : sequence of str
        The layers to record.
    image : Tensor
        The image for which their outputs are recorded, (1, channels, height, width).
    pixels : ndarray
        The same as in its file, uint8 (channels, height, width).
    images : Images
        The images over a sample of which AGOP is averaged, always the same.
    estimator : mapping
        Keywords of `ansatz.features.agop.agop_over`.
    steps : sequence of int
        Steps inside the first epoch; snapshots are also taken before training and after each epoch.
    """

    layers: Sequence[str]
    image: torch.Tensor
    pixels: np.ndarray
    images: Images
    estimator: Mapping[str, Any]
    steps: Sequence[int] = ()

    @classmethod
    def of(
        cls,
        network: nn.Module,
        parts: Mapping[str, Images],
        *,
        layers: Sequence[str] | None,
        image: int,
        estimator: Mapping[str, Any],
        steps: Sequence[int] = (),
    ) -> "Snapshots":
        """Choose what to record, by the names of layers (None: all studied ones) and the index of a validation image.

        Raises
        ------
        UserError
            If the network has no such layer, or there is no such image.
        """
        studied, validation = list(studied_maps(network)), parts["validation"]
        for layer in layers or []:
            if layer not in studied:
                raise UserError(f"layers: the network has no layer {layer!r}; it has {', '.join(studied)}")
        if image >= len(validation):
            raise UserError(f"image: {image}, but the {len(validation)} validation images are counted from 0")
        x, _ = next(validation.batches(1, torch.tensor([image])))
        pixels = validation.pool[validation.rows[image]].cpu().numpy()
        return cls(layers or studied, x, pixels, parts["train"], estimator, steps)

    def take(self, network: nn.Module, *, epoch: float, step: int, metrics: dict[str, float]) -> Snapshot:
        """Record a network, which stays as it is; nothing is drawn from the global random generator."""
        matrices = agop_over(network, self.images, layers=self.layers, **self.estimator)
        studied = studied_maps(network)
        return {
            "epoch": epoch,
            "step": step,
            "metrics": metrics,
            "filters": {layer: studied[layer].weight.detach().cpu().clone() for layer in self.layers},
            "agop": {layer: matrices[layer].factor.cpu() for layer in self.layers},
            "outputs": outputs(network, self.image, self.layers),
        }

    def collect(self, network: nn.Module, snapshots: Sequence[Snapshot], name: str) -> Evolution:
        """Put the snapshots of a training together, with their correlations.

        Parameters
        ----------
        network : nn.Module
            The network that was trained.
        snapshots : sequence of Snapshot
            In order.
        name : str
            The experiment's name.
        """
        rows = [{"epoch": snapshot["epoch"], "step": snapshot["step"], **snapshot["metrics"]} for snapshot in snapshots]
        curves = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        studied = studied_maps(network)
        layers = {layer: _evolution_of(layer, studied[layer], snapshots) for layer in self.layers}
        return Evolution(curves, layers, self.pixels, name)


@torch.no_grad()
def outputs(network: nn.Module, image: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the outputs of layers for an image (1, channels, height, width): (filters, rows, columns), on the CPU.

    The tokens of other maps than convolutions lie in rows and columns as the patches of the image do.
    """
    studied = studied_maps(network)
    recorder = _Recorder({layer: studied[layer] for layer in layers})
    with frozen(network), followed(recorder), recorder:
        forward(network, image)
    return recorder.outputs


class _Recorder(Following):
    """Keeps the outputs of each layer, as copies, since an in-place activation may follow."""

    def __init__(self, maps: Mapping[str, LinearMap]) -> None:
        super().__init__(maps)
        self.outputs: dict[str, torch.Tensor] = {}

    def observe(self, parts: Mapping[str, slice], x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        for layer, channels in parts.items():
            own = self.maps[layer].of_output(output, channels).float().cpu()  # of one image, filters last
            self.outputs[layer] = laid_out(own).contiguous().clone()
        return output


def _evolution_of(layer: str, each: LinearMap, snapshots: Sequence[Snapshot]) -> LayerEvolution:
    filters = torch.stack([snapshot["filters"][layer] for snapshot in snapshots]).numpy()
    factors = torch.stack([snapshot["agop"][layer] for snapshot in snapshots]).numpy()
    layer_outputs = torch.stack([snapshot["outputs"][layer] for snapshot in snapshots]).numpy()
    rows = (each.groups, each.filters, factors.shape[-1])
    nfms = [FeatureMatrix(torch.from_numpy(w).reshape(rows), each.shape) for w in filters]
    agops = [FeatureMatrix(torch.from_numpy(factor), each.shape) for factor in factors]
    correlations = {
        "nfm_final_nfm": [correlation(nfm, nfms[-1]) for nfm in nfms],
        "agop_final_agop": [correlation(agop, agops[-1]) for agop in agops],
        "nfm_agop": [correlation(nfm, agop) for nfm, agop in zip(nfms, agops, strict=True)],
    }
    return LayerEvolution(
        filters, factors, layer_outputs, {pair: np.array(values) for pair, values in correlations.items()}
    )
