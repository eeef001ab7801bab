"""What every registered initializer must be, one's own too: each check raises an AssertionError about a wrong one."""

import inspect
import math

import torch
from torch import nn

from ansatz import registry
from ansatz.data.batches import Tensors
from ansatz.features.matrix import FeatureMatrix
from ansatz.initializers.initialize import initialize
from ansatz.initializers.scaling import COVARIANCE_SCALINGS

CHANNELS, SIDE = 2, 3  # of patches, per group
PATCH = CHANNELS * SIDE**2
FILTERS = 20_000
NEEDS = ("nfm", "agop", "centred_nfm")
ROWS = 8  # of a source's factors
COPIES = ("weights",)  # draws nothing, and takes at most so many filters
PARTS = ("_spectrum", "_basis")  # ends the names of those whose covariance is made from a part of the matrix
IMAGES, IMAGE_SIDE = 300, 5  # more images than a batch has
ERRORS = 5  # standard errors that a mean over filters may be away from its expectation


def declared(name):
    return registry.find("initializer", name).declared


def source(groups=1, *, seed=0, trace=7.0):
    """Return ``matrices[kind][layer]`` of rank `ROWS` whose trace is none of those that initializers scale to."""
    generator = torch.Generator().manual_seed(seed)

    def matrix():
        factor = torch.randn(groups, ROWS, PATCH, generator=generator)
        drawn = FeatureMatrix(factor, (CHANNELS, SIDE, SIDE))
        return drawn.scaled(trace / drawn.trace())

    return {kind: {"0": matrix()} for kind in NEEDS}


def images(groups=1, seed=0):
    """Return images whose patches have a mean, and channels that depend on each other."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(IMAGES, groups * CHANNELS, IMAGE_SIDE, IMAGE_SIDE, generator=generator) + 0.5
    x[:, 0] += x[:, -1]
    return Tensors(x, torch.zeros(IMAGES, dtype=torch.int64), 2**30)


class Twins(nn.Module):
    """Two layers of the same shape, of which the second sees some of what the first puts out."""

    def __init__(self, filters):
        super().__init__()
        self.first, self.second = layer(filters=filters), layer(filters=filters)

    def forward(self, x):
        return self.second(self.first(x)[:, :CHANNELS])


def layer(groups=1, filters=FILTERS):
    with torch.random.fork_rng(devices=[]):  # constructing a layer draws its default weights
        return nn.Conv2d(groups * CHANNELS, groups * filters, SIDE, groups=groups)


def filters_of(name, *, groups=1, filters=FILTERS, seed=0, matrices=None, shown=None, scaling="trace", **options):
    """Return the filters, (groups, filters, patch), of a layer that an initializer has filled."""
    network = nn.Sequential(layer(groups, filters))
    with torch.no_grad():
        network[0].weight.fill_(math.nan)
    given = {"matrices": matrices or source(groups), "images": shown or images(groups)}
    initialize(network, name, seed=seed, options=options, scaling=scaling, **given)
    return network[0].weight.detach().reshape(groups, filters, PATCH)


def covariance_errors(weights, expected):
    """Return how far second moments over filters are from the expected ones, in their own standard errors."""
    n, weights = weights.shape[1], weights.double()
    moments = weights.mT @ weights / n
    variances = weights.square().mT @ weights.square() / n - moments.square()
    rounding = 1e-6 * expected.abs().max()
    return (moments - expected).abs() / ((variances.clamp_min(0) / n).sqrt() + rounding)


def fills_every_entry_in_place(name, **options):
    """Every entry of every layer is finite, biases are 0, and the classifier and the weights' memory stay the same."""
    for groups in (1, 3):
        network = nn.Sequential(layer(groups, 8), nn.Flatten(), nn.Linear(8, 3))
        convolution, classifier = network[0], network[2]
        before = {key: value.clone() for key, value in classifier.state_dict().items()}
        weight, memory = convolution.weight, convolution.weight.data_ptr()
        with torch.no_grad():
            weight.fill_(math.nan)
        initialize(network, name, seed=0, options=options, matrices=source(groups), images=images(groups))
        assert convolution.weight is weight, "the parameter is replaced"
        assert weight.data_ptr() == memory, "the weight is replaced"
        assert weight.isfinite().all(), "entries are not filled, or not finite"
        assert weight.requires_grad, "the weight can no longer be trained"
        assert not convolution.bias.any(), "biases are not 0"
        after = classifier.state_dict()
        assert all(torch.equal(after[key], before[key]) for key in before), "the classifier is changed"


def is_drawn_from_its_generator(name, **options):
    """One seed gives the same filters whatever was drawn before; another seed, or another layer, gives others."""
    if name in COPIES:
        return
    state = torch.get_rng_state()
    first, other = (filters_of(name, filters=8, seed=seed, **options) for seed in (0, 1))
    assert torch.equal(torch.get_rng_state(), state), "draws from the global generator"
    torch.rand(1)
    again = filters_of(name, filters=8, seed=0, **options)
    assert torch.equal(first, again), "one seed gives different filters"
    assert not torch.equal(first, other), "another seed gives the same filters"
    twins = Twins(filters=8)
    matrices = {kind: dict.fromkeys(("first", "second"), by_layer["0"]) for kind, by_layer in source().items()}
    initialize(twins, name, seed=0, options=options, matrices=matrices, images=images())
    assert not torch.equal(twins.first.weight, twins.second.weight), "two layers have the same filters"


def has_mean_zero(name, **options):
    """The mean over filters is 0 within sampling error, in every coordinate of the patch."""
    if name in COPIES:
        return
    weights = filters_of(name, **options)[0].double()
    errors = weights.mean(0).abs() / (weights.std(0) / math.sqrt(FILTERS) + 1e-12)
    assert errors.max() < ERRORS, "the mean of the filters is not 0"


def has_the_covariance_that_it_declares(name, **options):
    """Filters have the feature matrix as covariance: at trace 1, at 2 for ``kaiming``, the source's, or as released."""
    needs, scale = declared(name)["needs"], declared(name)["scale"]
    if needs is None or scale is None or name.endswith(PARTS):
        return
    for groups in (1, 3):
        matrices = source(groups)
        dense = matrices[needs]["0"].dense().double()
        traces = dense.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
        expected = {"unit": 1 / traces, "kaiming": 2 / traces, "source": 1 / ROWS}[scale] * dense
        errors = covariance_errors(filters_of(name, groups=groups, matrices=matrices, **options), expected)
        assert errors.max() < ERRORS, f"the covariance of the filters is not the {needs} at scale {scale}"
    if scale == "source":
        return
    expected = COVARIANCE_SCALINGS["released"](source()[needs]["0"], kind=needs, scale=scale, fan_in=PATCH).dense()
    errors = covariance_errors(filters_of(name, scaling="released", **options), expected.double())
    assert errors.max() < ERRORS, "the covariance of the filters is not as released"


def reads_only_what_it_declares(name, **options):
    """The function takes exactly what it declares; filters depend on that kind of matrix, and on images, or do not."""
    properties = declared(name)
    parameters = inspect.signature(registry.find("initializer", name).object).parameters.values()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    expected = 2 + sum(bool(properties[key]) for key in properties if key.startswith("needs"))
    assert len(positional) == expected, f"takes {', '.join(positional)}, but what it declares is {expected} arguments"
    assert not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters), "takes undeclared arguments"
    reference = filters_of(name, filters=8, **options)
    for kind in NEEDS:
        matrices = source() | {kind: source(seed=1)[kind]}
        depends = not torch.equal(filters_of(name, filters=8, matrices=matrices, **options), reference)
        assert depends == (kind == properties["needs"]), f"depends on the {kind}: {depends}"
    depends = not torch.equal(filters_of(name, filters=8, shown=images(seed=1), **options), reference)
    assert depends == properties["needs_images"], f"depends on images: {depends}"


CHECKS = (
    fills_every_entry_in_place,
    is_drawn_from_its_generator,
    has_mean_zero,
    has_the_covariance_that_it_declares,
    reads_only_what_it_declares,
)
