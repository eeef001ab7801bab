"""Name -> fill the convolutions of a network.

An initializer is one function with a decorator; it fills one layer's weight in place. Only convolutions are
initialized: their biases become 0, everything else stays as the seed made it, so that for one seed all initializers
share classifier, batch order, dropout masks and split.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ansatz.errors import UserError
from ansatz.feature_matrices import FeatureMatrix, match
from ansatz.networks import conv_layers, patch_shape
from ansatz.seeds import stream

Fill = Callable[..., object]


@dataclass(frozen=True)
class Initializer:
    """A registered initializer: the function that fills a weight, and the feature matrix it needs, if any."""

    fill: Fill
    needs: str | None


INITIALIZERS: dict[str, Initializer] = {}


def initializer(needs: str | None = None) -> Callable[[Fill], Fill]:
    """Register a function under its name.

    Parameters
    ----------
    needs : {"nfm", "agop"}, optional
        The feature matrix it draws from. Without one the function is called as ``fill(weight, generator)``; with one as
        ``fill(weight, generator, covariance)``, the covariance a `FeatureMatrix` in the configured scaling.
    """

    def register(fill: Fill) -> Fill:
        INITIALIZERS[fill.__name__] = Initializer(fill, needs)
        return fill

    return register


# ------------------------------------------------------------------------------------------------- the registry
@initializer()
def normal(weight: torch.Tensor, generator: torch.Generator, std: float = 0.05) -> None:
    """N(0, std²), std as the study has it."""
    nn.init.normal_(weight, std=std, generator=generator)


@initializer()
def uniform(weight: torch.Tensor, generator: torch.Generator) -> None:
    """U(-0.025, 0.025), as the study has it."""
    nn.init.uniform_(weight, -0.025, 0.025, generator=generator)


@initializer()
def xavier_normal(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Glorot and Bengio (2010), gain √2."""
    nn.init.xavier_normal_(weight, gain=math.sqrt(2), generator=generator)


@initializer()
def xavier_uniform(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Glorot and Bengio (2010), gain √2."""
    nn.init.xavier_uniform_(weight, gain=math.sqrt(2), generator=generator)


@initializer()
def kaiming_uniform(weight: torch.Tensor, generator: torch.Generator) -> None:
    """He et al. (2015), fan-in, ReLU."""
    nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)


@initializer()
def kaiming_normal(weight: torch.Tensor, generator: torch.Generator) -> None:
    """He et al. (2015), fan-in, ReLU."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


@initializer()
def orthogonal(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Saxe, McClelland and Ganguli (2014), gain √2."""
    nn.init.orthogonal_(weight, gain=math.sqrt(2), generator=generator)


@initializer(needs="nfm")
def nfm(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the NFM."""
    draw_(weight, generator, covariance)


@initializer(needs="agop")
def agop(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the AGOP."""
    draw_(weight, generator, covariance)


@initializer(needs="nfm")
def kaiming_nfm(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the NFM at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance)


@initializer(needs="agop")
def kaiming_agop(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Gaussian filters whose covariance is the AGOP at the scale of `kaiming_normal`."""
    draw_(weight, generator, covariance)


def draw_(weight: torch.Tensor, generator: torch.Generator, covariance: FeatureMatrix) -> None:
    """Fill a convolution's weight with Gaussian filters of the given covariance.

    As ``M = F.T @ F``, a row of ``Z @ F`` with ``Z ~ N(0, I)`` has covariance M: no dense matrix, no decomposition.

    Parameters
    ----------
    weight : Tensor
        (out_channels, in_channels / groups, kh, kw), filled in place.
    generator : torch.Generator
    covariance : FeatureMatrix
        Factor (groups, rank, patch).
    """
    factor = covariance.factor  # (groups, rank, patch)
    groups, rank, _ = factor.shape
    if len(weight) % groups:
        raise UserError(f"source: its {groups} groups of filters cannot be shared out over {len(weight)} filters")
    z = torch.randn(groups, len(weight) // groups, rank, generator=generator, dtype=factor.dtype)
    weight.copy_((z @ factor).reshape(weight.shape))  # (groups, out/groups, patch) -> (out, in/groups, kh, kw)


# ------------------------------------------------------------------------------------------------- scaling
def trace_scaling(name: str, needs: str, matrix: FeatureMatrix, fan_in: int) -> FeatureMatrix:
    """Scale the matrix to trace 1, and for ``kaiming_*`` to trace 2, which is what Kaiming-normal's filters have."""
    return matrix.scaled((2 if name.startswith("kaiming_") else 1) / matrix.trace())


def released_scaling(name: str, needs: str, matrix: FeatureMatrix, fan_in: int) -> FeatureMatrix:
    """Scale as the study's released code does.

    AGOP enters as its square root. The plain initializers have trace 1; ``kaiming_*`` multiplies the unnormalised
    matrix by √2 / √fan_in, and AGOP by 1/100 as well.
    """
    if needs == "agop":
        matrix = matrix.square_root()
    if not name.startswith("kaiming_"):
        return matrix.scaled(1 / matrix.trace())
    return matrix.scaled(math.sqrt(2 / fan_in) / (100 if needs == "agop" else 1))


COVARIANCE_SCALINGS = {"trace": trace_scaling, "released": released_scaling}


@torch.no_grad()
def initialize(
    network: nn.Module,
    name: str | None,
    *,
    seed: int,
    matrices: Mapping[str, Mapping[str, FeatureMatrix]] | None = None,
    scaling: str = "trace",
    layers: Mapping[str, str] | None = None,
    std: float | None = None,
    first_std: float | None = None,
) -> None:
    """Fill every convolution of a network.

    Parameters
    ----------
    network : nn.Module
        On the CPU.
    name : str or None
        One of `INITIALIZERS`; None leaves all as it is.
    seed : int
        The run's seed; every layer draws from a stream of its own.
    matrices : mapping, optional
        ``matrices["nfm" | "agop"][layer of the source]``, for the initializers that need one.
    scaling : str
        One of `COVARIANCE_SCALINGS`.
    layers : mapping of str to str, optional
        Which layer of the source a layer draws from, where that is to be chosen.
    std, first_std : float, optional
        Of ``normal``, in the place of its own: of all layers, and of the first where it is to be another.

    Raises
    ------
    UserError
        If the initializer needs feature matrices and has none, a layer finds no counterpart (see
        `ansatz.feature_matrices.match`), or a layer's matrix is zero.
    """
    if name is None:
        return
    chosen = INITIALIZERS[name]
    convolutions = conv_layers(network)
    covariances: dict[str, FeatureMatrix] = {}
    if chosen.needs:
        if matrices is None:
            raise UserError(f"initializer: {name} got no {chosen.needs}: is it among the schema's feature_initializer?")
        given = matrices[chosen.needs]
        patches = {layer: patch_shape(conv) for layer, conv in convolutions.items()}
        shapes = {layer: matrix.shape for layer, matrix in given.items()}
        for layer, source in match(patches, shapes, layers).items():
            if not bool((given[source].trace() > 0).all()):
                raise UserError(f"source: the {chosen.needs} of layer {source} is zero; nothing can be drawn from it")
            fan_in = math.prod(patches[layer])
            covariances[layer] = COVARIANCE_SCALINGS[scaling](name, chosen.needs, given[source], fan_in)
    for position, (layer, conv) in enumerate(convolutions.items()):
        generator = torch.Generator().manual_seed(stream(seed, "filters", position))
        given_std = std if position or first_std is None else first_std
        scale = {} if given_std is None else {"std": given_std}
        chosen.fill(conv.weight, generator, *([covariances[layer]] if chosen.needs else []), **scale)
        if conv.bias is not None:
            conv.bias.zero_()
