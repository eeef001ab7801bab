"""What every registered network must be, one's own too: each check raises an AssertionError about a wrong one."""

import torch

from ansatz import registry
from ansatz.features.agop import agop
from ansatz.features.matrix import nfm
from ansatz.networks.build import build, layer_names
from ansatz.networks.maps import studied_maps

CLASSES, SIDE = 5, 32  # images of 32 px are the smallest that networks take
SMALL, LARGER = 0.0625, 0.25  # widths


def construct(name, seed=0, width=SMALL, **options):
    return build(name, CLASSES, seed=seed, width=width, **options)


def images(n=2, channels=3, **options):
    side = options.get("image_size", SIDE)
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(0))


def builds_on_the_meta_device(name, **options):
    """Constructing allocates no parameters there, and finds the layers that the real network has."""
    with torch.device("meta"):
        network = registry.find("network", name).object(CLASSES, **options)
    assert all(tensor.is_meta for tensor in network.state_dict().values()), "parameters or buffers are allocated"
    layers = layer_names(name, **options)
    assert layers, "has no layer to study"
    assert layers == list(studied_maps(construct(name, **options))), "the layers depend on the device or the width"


def maps_images_to_logits(name, **options):
    """It does so for each image independently, in evaluation mode, and depends on every channel."""
    for channels in (1, 3):
        network = construct(name, in_channels=channels, **options).double().eval()
        x = images(channels=channels, **options).double().requires_grad_()
        logits = network(x)
        assert logits.shape == (len(x), CLASSES), f"logits are {tuple(logits.shape)}, not (n, classes)"
        assert logits.isfinite().all(), "logits are not finite"
        for image, alone in zip(x.split(1), logits.split(1), strict=True):
            torch.testing.assert_close(network(image), alone, msg="logits depend on the other images of the batch")
        (gradient,) = torch.autograd.grad(logits.square().sum(), x)
        assert gradient.abs().amax((0, 2, 3)).gt(0).all(), "logits ignore a channel"


def every_layer_has_feature_matrices(name, **options):
    """Every layer has a gradient, an NFM and an AGOP."""
    network = construct(name, **options).double()
    x = images(**options).double()
    network(x).square().sum().backward()
    for layer, each in studied_maps(network).items():
        assert each.source.grad is not None, f"no gradient reaches {layer}"
        assert each.source.grad[each.rows].any(), f"the gradient of {layer} is zero"
    layers = layer_names(name, **options)
    for kind, matrices in {"nfm": nfm(network, layers), "agop": agop(network, [x], probes=1, layers=layers)}.items():
        assert list(matrices) == layers
        for layer, matrix in matrices.items():
            assert matrix.factor.isfinite().all(), f"the {kind} of {layer} is not finite"
            assert (matrix.trace() > 0).all(), f"the {kind} of {layer} is zero"


def is_drawn_from_the_seed(name, **options):
    """One seed gives one network, whatever was drawn before, and another seed another."""
    first, other = construct(name, seed=0, **options).state_dict(), construct(name, seed=1, **options).state_dict()
    torch.rand(1)
    again = construct(name, seed=0, **options).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first), "one seed gives different parameters"
    drawn = [key for key in first if key.endswith("weight") and first[key].dim() > 1]
    assert not any(torch.equal(first[key], other[key]) for key in drawn), "another seed gives the same parameters"


def honours_its_width(name, **options):
    """Every layer grows with the width."""
    small, larger = (studied_maps(construct(name, width=width, **options)) for width in (SMALL, LARGER))
    assert list(small) == list(larger), "the layers depend on the width"
    for layer in small:
        assert len(small[layer].weight) < len(larger[layer].weight), f"{layer} does not grow with the width"


CHECKS = (
    builds_on_the_meta_device,
    maps_images_to_logits,
    every_layer_has_feature_matrices,
    is_drawn_from_the_seed,
    honours_its_width,
)
