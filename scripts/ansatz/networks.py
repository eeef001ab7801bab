"""Name -> network. A network is one function with a decorator."""

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from ansatz.archives import Archive
from ansatz.devices import autocast
from ansatz.errors import UserError
from ansatz.seeds import stream
from ansatz.store import atomic, fingerprint

Build = Callable[..., nn.Module]
NETWORKS: dict[str, Build] = {}
NAMED = 30  # mismatching parameters that an error names


def network(name: str) -> Callable[[Build], Build]:
    """Register a function ``(classes, in_channels=3, width=1.0, **options of its own) -> nn.Module`` under a name."""

    def register(build: Build) -> Build:
        NETWORKS[name] = build
        return build

    return register


# ------------------------------------------------------------------------------------------------- the registry
# Convolutions in each of the five stages (Simonyan and Zisserman 2014), which are 64, 128, 256, 512 and 512 wide.
# torchvision has these networks too, without a width; importing it would double the start-up time of every training.
VGG_STAGES = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def vgg(
    stages: Sequence[int], classes: int, in_channels: int = 3, width: float = 1.0, *, wide_first: bool = False
) -> nn.Module:
    """Return torchvision's VGG, with all hidden widths scaled.

    Parameters
    ----------
    stages : sequence of int
        Convolutions in each stage, as in `VGG_STAGES`.
    classes : int
    in_channels : int
    width : float
        Factor of every hidden layer's width; at 1 it is torchvision's network, parameter by parameter.
    wide_first : bool
        Whether the first convolution is 7 x 7, without bias.

    Returns
    -------
    nn.Module
        For images of at least 32 x 32 pixels.
    """

    scaled = partial(_scaled, width=width)
    features, channels = nn.Sequential(), in_channels
    for convolutions, out_channels in zip(stages, map(scaled, (64, 128, 256, 512, 512)), strict=True):
        for _ in range(convolutions):
            features.extend([nn.Conv2d(channels, out_channels, kernel_size=3, padding=1), nn.ReLU(inplace=True)])
            channels = out_channels
        features.append(nn.MaxPool2d(kernel_size=2, stride=2))
    if wide_first:
        features[0] = nn.Conv2d(in_channels, scaled(64), kernel_size=7, padding=3, bias=False)
    hidden = scaled(4096)
    classifier = nn.Sequential(
        nn.Linear(channels * 7 * 7, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(hidden, classes),
    )
    pool, flatten = AveragePool((7, 7)), nn.Flatten()
    return nn.Sequential(OrderedDict(features=features, avgpool=pool, flatten=flatten, classifier=classifier))


for _name, _stages in VGG_STAGES.items():
    network(_name)(partial(vgg, _stages))
network("vgg11_mnist")(partial(vgg, VGG_STAGES["vgg11"], wide_first=True))  # as the study's group trained it on MNIST


@network("lenet5")
def lenet5(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Return LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling, for images of at least 32 x 32 pixels."""
    scaled = partial(_scaled, width=width)
    features = nn.Sequential(
        nn.Conv2d(in_channels, scaled(6), kernel_size=5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(scaled(6), scaled(16), kernel_size=5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )
    classifier = nn.Sequential(
        nn.Linear(scaled(16) * 5 * 5, scaled(120)),
        nn.ReLU(inplace=True),
        nn.Linear(scaled(120), scaled(84)),
        nn.ReLU(inplace=True),
        nn.Linear(scaled(84), classes),
    )
    pool, flatten = AveragePool((5, 5)), nn.Flatten()  # at 32 x 32 pixels the pooling leaves all as it is
    return nn.Sequential(OrderedDict(features=features, avgpool=pool, flatten=flatten, classifier=classifier))


@network("resnet18_small")
def resnet18_small(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Return ResNet-18 (He et al. 2016) for small images: its first convolution is 3 x 3, and not pooled after."""
    channels = _scaled(64, width)
    stem = [_convolution(in_channels, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    features = nn.Sequential(*stem)
    for out_channels, stride in zip(map(partial(_scaled, width=width), (64, 128, 256, 512)), (1, 2, 2, 2), strict=True):
        features.extend([_Residual(channels, out_channels, stride), _Residual(out_channels, out_channels, 1)])
        channels = out_channels
    pool, flatten, classifier = AveragePool((1, 1)), nn.Flatten(), nn.Linear(channels, classes)
    return nn.Sequential(OrderedDict(features=features, avgpool=pool, flatten=flatten, classifier=classifier))


class _Residual(nn.Module):
    """Two convolutions beside a shortcut, which is a 1 x 1 convolution where they change the shape."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(channels, out_channels, 3, stride), nn.BatchNorm2d(out_channels)
        self.conv2, self.bn2 = _convolution(out_channels, out_channels, 3), nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != out_channels:
            self.shortcut.extend([_convolution(channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(hidden)) + self.shortcut(x))


def _convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    padding = kernel_size // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False)


# (filters, side of the filters) of each stage; all stages but the last are pooled
SIMPLENET_STAGES = (
    ((64, 3), (128, 3), (128, 3), (128, 3)),
    ((128, 3), (128, 3), (256, 3)),
    ((256, 3), (256, 3)),
    ((512, 3), (2048, 1), (256, 1)),
    ((256, 3),),
)


@network("simplenet")
def simplenet(classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Return SimpleNet, 13 convolutions (Hasanpour et al. 2016): its authors' five million parameters, no dropout."""
    features, channels = nn.Sequential(), in_channels
    for stage in SIMPLENET_STAGES:
        for filters, side in stage:
            out_channels = _scaled(filters, width)
            convolution = nn.Conv2d(channels, out_channels, side, padding=side // 2)
            features.extend([convolution, nn.BatchNorm2d(out_channels, momentum=0.05), nn.ReLU(inplace=True)])
            channels = out_channels
        features.append(nn.MaxPool2d(2) if stage is not SIMPLENET_STAGES[-1] else nn.AdaptiveMaxPool2d(1))
    flatten, classifier = nn.Flatten(), nn.Linear(channels, classes)
    return nn.Sequential(OrderedDict(features=features, flatten=flatten, classifier=classifier))


POOLINGS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "none": (nn.Identity, nn.Identity),
    "average": (partial(nn.AvgPool2d, 2), partial(nn.AdaptiveAvgPool2d, 1)),
    "max": (partial(nn.MaxPool2d, 2), partial(nn.AdaptiveMaxPool2d, 1)),
}  # name -> what stands between convolutions, and after the last


@network("cnn")
def cnn(
    classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    depth: int = 4,
    patch_size: int = 3,
    pooling: str = "none",
    image_size: int = 32,
) -> nn.Module:
    """Return a plain network without biases, as Beaglehole et al. (2023) vary it.

    Parameters
    ----------
    classes, in_channels : int
    width : float
        Factor of the 64 filters of each convolution.
    depth, patch_size : int
        How many convolutions, with a padding that keeps the images' size, and the side of their filters.
    pooling : str
        One of `POOLINGS`: between all convolutions but the first two, by 2, and after the last, to one number a
        channel; without it the classifier sees all positions.
    image_size : int
        The side of the images, in pixels.
    """
    between, last = POOLINGS[pooling]
    side = image_size if pooling == "none" else 1
    if pooling != "none" and image_size < 2 ** max(0, depth - 2):
        most = image_size.bit_length() + 1
        raise UserError(f"network.depth: {depth} convolutions pool {image_size} px away; it takes {most} at most")
    features, channels, filters = nn.Sequential(), in_channels, _scaled(64, width)
    for layer in range(depth):
        if layer > 1:
            features.append(between())
        padding = patch_size // 2
        features.extend([nn.Conv2d(channels, filters, patch_size, padding=padding, bias=False), nn.ReLU(inplace=True)])
        channels = filters
    flatten, classifier = nn.Flatten(), nn.Linear(channels * side**2, classes, bias=False)
    return nn.Sequential(OrderedDict(features=features, pool=last(), flatten=flatten, classifier=classifier))


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


class AveragePool(nn.AdaptiveAvgPool2d):
    """PyTorch's pooling to a given size, as two matrix products where it would not repeat bit by bit on a GPU."""

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


# ------------------------------------------------------------------------------------------------- what they are for
def build(name: str, classes: int, *, seed: int, in_channels: int = 3, width: float = 1.0, **options: Any) -> nn.Module:
    """Build a network whose parameters are PyTorch's default, drawn from the seed.

    Parameters
    ----------
    name : str
        One of `NETWORKS`, or a torchvision classification network, which takes 3 channels at its own width only.
    classes, in_channels : int
    seed : int
    width : float
    **options
        What the network has of its own, such as the `depth` of `cnn`.

    Raises
    ------
    UserError
        If there is no such network, it does not come in that width, or there is one class alone.
    """
    if classes < 2:
        raise UserError("network: there is one class alone to tell apart; images to learn need a folder for each class")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, "network"))
        if name in NETWORKS:
            return NETWORKS[name](classes, in_channels=in_channels, width=width, **options)
        from torchvision import models

        if name not in models.list_models(module=models):
            raise UserError(f"network: {name!r} is none of {', '.join(NETWORKS)}, nor a network of torchvision")
        if (in_channels, width) != (3, 1.0):
            raise UserError(f"network: torchvision's {name} takes in_channels: 3 and width: 1 only")
        return models.get_model(name, weights=None, num_classes=classes)


def forward(network: nn.Module, x: torch.Tensor, precision: str = "float32") -> torch.Tensor:
    """Return the logits of images, in float32 at least.

    Parameters
    ----------
    network : nn.Module
    x : Tensor
        (n, channels, height, width), on the network's device and of its type.
    precision : str
        What is computed in, of `ansatz.devices.PRECISIONS`: parameters and logits keep float32.

    Returns
    -------
    Tensor
        (n, classes).
    """
    with autocast(x.device, precision):
        logits = network(x.contiguous(memory_format=torch.channels_last))
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def activation_bytes(network: nn.Module, image: torch.Tensor, precision: str = "float32") -> int:
    """Return the bytes that a forward pass keeps of each image for a backward pass.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    image : Tensor
        (1, channels, height, width).
    precision : str
        As for `forward`.
    """

    def kept(images: int) -> int:
        storages: dict[int, int] = {}

        def count(tensor: torch.Tensor) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            _logits = forward(network, image.expand(images, -1, -1, -1), precision)  # alive until all is counted
        return sum(storages.values())

    return kept(2) - kept(1)  # parameters, and what autocast makes of them, are kept once


def conv_layers(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Return every convolution of a network, however nested, by its name and in the network's order."""
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}


def patch_shape(conv: nn.Conv2d) -> tuple[int, int, int]:
    """Return the shape of the patches that one filter sees: channels (of its group), rows, columns."""
    channels, rows, columns = conv.weight.shape[1:]
    return channels, rows, columns


def geometry(conv: nn.Conv2d) -> dict[str, Any]:
    """Return what a feature matrix has to know of its convolution, in types that HDF5 takes."""
    return {
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "groups": conv.groups,
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
    }


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a state dict: a .safetensors file, or what ``torch.save`` wrote, opened with ``weights_only``.

    Raises
    ------
    UserError
        If the file holds no state dict, or more than tensors and plain types.
    """
    try:
        if Path(path).suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: not there") from error
    except Exception as error:  # each format has its own ways to be broken
        kind = "state dict that opens with weights_only" if isinstance(error, pickle.UnpicklingError) else "checkpoint"
        raise UserError(f"{path}: not a {kind} ({type(error).__name__}); save network.state_dict()") from error
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"{path}: holds no state dict; save network.state_dict()")
    return {name.removeprefix("module."): value for name, value in state.items()}  # as nn.DataParallel names them


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Load a checkpoint's parameters into a network.

    Raises
    ------
    UserError
        If parameters are missing, left over or of another shape: they are named, with both shapes.
    """
    given = read_weights(path)
    wanted = network.state_dict()
    wrong = [
        f"{name} is {_shape(given.get(name))}, the network's {_shape(wanted.get(name))}"
        for name in dict.fromkeys([*wanted, *given])
        if _shape(given.get(name)) != _shape(wanted.get(name))
    ]
    if wrong:
        more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise UserError(f"{path}: does not fit the network: {'; '.join(wrong[:NAMED])}{more}")
    network.load_state_dict(given)


def save_weights(network: nn.Module, path: str | Path) -> None:
    """Save the state dict, on the CPU."""
    with atomic(path) as temporary:
        torch.save({name: value.cpu().contiguous() for name, value in network.state_dict().items()}, temporary)


def published_weights(name: str, sha256: str = "") -> Archive:
    """Return where torchvision publishes weights.

    Parameters
    ----------
    name : str
        As torchvision names them, such as ``VGG11_Weights.IMAGENET1K_V1``.
    sha256 : str
        What their file must have; without it, the first digits, which torchvision puts into the file's name.

    Raises
    ------
    UserError
        If torchvision has no such weights.
    """
    from torchvision import models

    try:
        url = models.get_weight(name).url
    except (ValueError, KeyError) as error:
        raise UserError(
            f"weights: torchvision has no {name!r}; its names are like VGG11_Weights.IMAGENET1K_V1"
        ) from error
    file = url.rpartition("/")[2]
    return Archive(file, url, sha256 or file.rpartition("-")[2].removesuffix(".pth"))


def weights_fingerprint(network: nn.Module) -> str:
    """Return one SHA-256 of all parameters and buffers."""
    return fingerprint(*(value.cpu().numpy() for value in network.state_dict().values()))


def _shape(tensor: torch.Tensor | None) -> str:
    return "missing" if tensor is None else "x".join(map(str, tensor.shape)) or "a scalar"
