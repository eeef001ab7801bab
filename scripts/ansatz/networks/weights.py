"""Read, load, save and identify the weights of a network."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ansatz.data.archives import Archive
from ansatz.errors import UserError, listed
from ansatz.files.atomic import atomic
from ansatz.files.hashing import fingerprint
from ansatz.networks.evaluation import is_finite
from ansatz.networks.maps import studied_maps

MOST_LISTED = 30  # mismatching parameters that an error lists
# Where training scripts put the state dict in a checkpoint, what is averaged over steps first: timm evaluates that too.
WRAPPERS = ("state_dict_ema", "model_ema", "ema", "state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before the names of parameters


def load_verified(path: str | Path) -> Any:
    """Load a file of ``torch.save`` onto the CPU, with ``weights_only``, after verifying its checksums.

    Raises
    ------
    zipfile.BadZipFile
        If a checksum differs, which ``torch.load`` ignores. The errors of ``torch.load`` are raised besides.
    """
    if zipfile.is_zipfile(path):  # files of PyTorch before 1.6 are none, and have no checksums
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"{damaged} is damaged")
    return torch.load(path, map_location="cpu", weights_only=True)


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a state dict from a .safetensors file, or from a file of ``torch.save``, opened with ``weights_only``.

    Checkpoints of trainings are unwrapped: the state dict may lie under one of `WRAPPERS`, and all of its names may
    begin with `PREFIXES`.

    Raises
    ------
    UserError
        If the file is damaged, or holds no state dict, or anything besides tensors and plain types.
    """
    try:
        if Path(path).suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = load_verified(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: does not exist") from error
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: is damaged ({error}); remove it and make it again") from error
    except Exception as error:  # each format has its own errors
        kind = "state dict that opens with weights_only" if isinstance(error, pickle.UnpicklingError) else "checkpoint"
        raise UserError(f"{path}: not a {kind} ({type(error).__name__}); save network.state_dict()") from error
    state = _unwrapped(state)
    if not _is_state_dict(state):
        keys = f", but {listed(map(str, state), most=MOST_LISTED)}" if isinstance(state, Mapping) and state else ""
        raise UserError(f"{path}: holds no state dict{keys}; save network.state_dict()")
    for name, value in state.items():
        if special := _special(value):
            raise UserError(f"{path}: {name} is a {special} tensor; save dense ones of real numbers")
    return state


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in value.items())
    )


def _unwrapped(checkpoint: Any) -> Any:
    """Return the state dict in a checkpoint, with the names of the network's own parameters."""
    inner = [checkpoint[key] for key in WRAPPERS if key in checkpoint] if isinstance(checkpoint, Mapping) else []
    wrapped = next(filter(_is_state_dict, inner), None)
    if wrapped is not None:
        return _unwrapped(wrapped)
    if not _is_state_dict(checkpoint):
        return checkpoint
    state = {name: value for name, value in checkpoint.items() if name != "n_averaged"}  # of AveragedModel
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            return _unwrapped({name.removeprefix(prefix): value for name, value in state.items()})
    return checkpoint


def load_weights(network: nn.Module, path: str | Path, *, layers_alone: bool = False) -> None:
    """Load a checkpoint's parameters into a network.

    Parameters
    ----------
    network : nn.Module
    path : path
    layers_alone : bool
        Whether to load the weights of `ansatz.networks.maps.studied_maps`, and leave all other parameters as they are.

    Raises
    ------
    UserError
        If parameters are missing, superfluous or of another shape: they are listed, with both shapes. If one is not
        finite.
    """
    weights, expected = read_weights(path), network.state_dict()
    if layers_alone:
        studied = {id(each.source) for each in studied_maps(network).values()}
        names = [name for name, parameter in network.named_parameters() if id(parameter) in studied]
        weights, expected = ({name: state[name] for name in names if name in state} for state in (weights, expected))
    mismatches = [
        f"{name} is {_shape(weights.get(name))}, the network's is {_shape(expected.get(name))}"
        for name in dict.fromkeys([*expected, *weights])
        if _shape(weights.get(name)) != _shape(expected.get(name))
    ]
    if mismatches:
        rest = f"; and {len(mismatches) - MOST_LISTED} more" if len(mismatches) > MOST_LISTED else ""
        raise UserError(f"{path}: does not fit the network: {'; '.join(mismatches[:MOST_LISTED])}{rest}")
    if wrong := next((name for name, value in weights.items() if not is_finite(value)), None):
        raise UserError(f"{path}: {wrong} is not finite; has the network diverged?")
    network.load_state_dict(weights, strict=not layers_alone)


def save_weights(network: nn.Module, path: str | Path) -> None:
    """Save the state dict, on the CPU."""
    with atomic(path) as temporary:
        torch.save({name: value.cpu().contiguous() for name, value in network.state_dict().items()}, temporary)


def published_weights(name: str, sha256: str = "") -> Archive:
    """Return the archive in which torchvision publishes weights.

    Parameters
    ----------
    name : str
        As torchvision names them, such as ``VGG11_Weights.IMAGENET1K_V1``.
    sha256 : str
        The file's SHA-256; by default its first digits, which are part of torchvision's file name.

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
            f"weights: torchvision has no {name!r}; an example of its names is VGG11_Weights.IMAGENET1K_V1"
        ) from error
    file = url.rpartition("/")[2]
    return Archive(file, url, sha256 or file.rpartition("-")[2].removesuffix(".pth"))


def normalisation_of(chosen: Mapping[str, Any] | str | None) -> Mapping[str, Any] | None:
    """Return ``mean`` and ``std`` of each channel: as given, or those of torchvision's weights of that name.

    None, for the statistics of the dataset, stays None.
    """
    if not isinstance(chosen, str):
        return chosen
    from torchvision import models

    transforms = models.get_weight(chosen).transforms()
    return {"mean": transforms.mean, "std": transforms.std}


def weights_fingerprint(network: nn.Module) -> str:
    """Return the SHA-256 of all parameters and buffers together."""
    return fingerprint(*(value.cpu().numpy() for value in network.state_dict().values()))


def _special(tensor: torch.Tensor) -> str | None:
    """Return of which kind a tensor is that no parameter can take its values from."""
    kinds = {
        "sparse": tensor.layout is not torch.strided,
        "meta": tensor.is_meta,
        "quantized": tensor.is_quantized,
        "complex": tensor.is_complex(),
    }
    return next((kind for kind, applies in kinds.items() if applies), None)


def _shape(tensor: torch.Tensor | None) -> str:
    return "missing" if tensor is None else "x".join(map(str, tensor.shape)) or "a scalar"
