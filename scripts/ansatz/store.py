"""Every HDF5 and CSV layout, in one place.

``dataset.h5``
    ``images`` uint8 (N, C, H, W) and ``labels`` int64 (N,) of all images that are not for testing;
    ``split/train`` and ``split/validation``, int64 indices into them; ``test/images`` and ``test/labels`` where the
    dataset has a test part; ``classes`` (strings); ``mean`` and ``std``, float64 (C,), of the training part's
    channels on the scale 0..1. Attributes: ``name``, ``fingerprint``, ``provenance``.
``features.h5``
    ``nfm/<layer>/factor`` and ``agop/<layer>/factor``, float32 (groups, rank, patch), layers in the network's order;
    a feature matrix is ``factor.T @ factor``, group by group. Attributes of a layer: ``kernel_size``, ``stride``,
    ``padding``, ``dilation``, ``groups``, ``in_channels``, ``out_channels``, and in ``agop`` ``standard_error``, that
    of the estimate, relative to the matrix (0 where it is exact); of the file: ``images``, ``estimator``,
    ``source``, ``weights_fingerprint``, ``fingerprint``, ``provenance``.
``evolution.h5``
    ``curves/<name>``, (moments,): ``epoch``, ``step``, and losses and accuracies of the parts; ``layers/<layer>/`` with
    ``filters`` (moments, out, in / groups, kh, kw), ``agop`` (moments, groups, rank, patch; a thin factor), ``outputs``
    (moments, filters, rows, columns) for the ``image`` uint8 (C, H, W), all float32, and ``correlations/<pair>``
    (moments,). Attributes: ``name``, ``provenance``.
``metrics.csv``
    One row an epoch, in the columns `METRICS`.
``tidy.csv``
    All epochs of all runs: `RUN`, then `METRICS` without the clock's columns, so that it repeats byte by byte.
``runs.csv``
    One row a run: `RUN`, then `OUTCOME`.
``resources.csv``
    One row a run: `RUN`, then `RESOURCES`.
``ansatz/tidy.csv``
    One row a convolution of each network that was compared: `ALIGNMENT`.
``learnt.h5``
    Of a kernel machine, or the network beside it: ``images``, float32 (n, C, H, W); ``layers/<layer>`` with ``matrix``
    (patch, patch), ``looks`` (n, rows, columns), and the patch's ``shape`` as an attribute.
``kernels/tidy.csv``
    One row a machine and number of layers that learn features: `SCORES`.
"""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ansatz.errors import UserError

if TYPE_CHECKING:  # imported where they are used: pandas takes a second, and what needs no files does without h5py
    import h5py
    import pandas as pd

Paths = Sequence[str | os.PathLike[str]]

RUN = ("dataset", "initializer", "seed")
CLOCK = ("images_per_second", "seconds")
METRICS = (
    "epoch",
    "status",  # "ok", or "diverged" in the row of the epoch whose loss was not finite
    "train_loss",  # running mean over the epoch, dropout on
    "train_accuracy",
    "train_eval_loss",  # at the epoch's end, in evaluation mode, on a fixed part of the training images
    "train_eval_accuracy",
    "validation_loss",
    "validation_accuracy",
    "learning_rate",
    *CLOCK,
)
OUTCOME = ("status", "epochs", "best_epoch", "best_validation_accuracy", "test_accuracy", "device", "seconds")
RESOURCES = (
    "device",
    "seconds",  # of the job that ended the run, from its start to its end; empty where it was not measured
    "training_seconds",  # of all epochs, those too that an interrupted job trained
    "memory_mb",  # largest resident set, without the GPU's memory; empty where it was not measured
    "gpu_seconds",  # the longer of the two times above, where the device was a GPU
)
KINDS = ("nfm", "agop")
COMPARED = (  # the ansatz; its control, which says how far training moved the filters; and the ansatz before training
    ("nfm", "agop"),
    ("nfm", "root_agop"),
    ("nfm", "initial_nfm"),
    ("initial_nfm", "initial_agop"),
    ("initial_nfm", "initial_root_agop"),
)
NAMED = ("experiment", "dataset", "machine", "initializer")  # by users: "NA" and "007" are names, no numbers
SCORES = (
    *("experiment", "dataset", "noise", "machine", "seed"),
    *("layers", "accuracy", "train", "test", "seconds"),  # layers that learn features; images; of the whole machine
)
ALIGNMENT = (
    *("experiment", "variant", "dataset", "seed"),
    *("images", "estimator"),  # of AGOP
    *("validation_accuracy", "test_accuracy"),  # of the network as it was compared; empty where it was not measured
    *("layer", "shape", "standard_error"),
    *(f"{measure}_{a}_{b}" for a, b in COMPARED for measure in ("correlation", "cosine")),
)


# ------------------------------------------------------------------------------------------------- writing files
@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, put in its place at the end, or removed when the body fails.

    Its name is always the same, so that what a kill leaves behind is overwritten by the next try.

    Raises
    ------
    UserError
        If the disk is full: libraries say so in many ways, some of them as a crash of their own.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        full = disk_is_full(error, path.parent)
        temporary.unlink(missing_ok=True)
        if full:
            raise UserError(f"{path}: no space left on the device; nothing was written") from error
        raise


def disk_is_full(error: BaseException, folder: Path) -> bool:
    """Return whether it is a full disk that made a library fail while it wrote into `folder`."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return isinstance(error, OSError | RuntimeError) and shutil.disk_usage(folder).free < 2**16


def checksum(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return a file's checksum, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def fingerprint(*arrays: np.ndarray) -> str:
    """Return one SHA-256 of the arrays' types, shapes and bytes: what a checkpoint knows its inputs by."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class _Spared(io.FileIO):
    """A file for HDF5 to write, which prints the errors it meets, and may crash of them: the first is kept instead."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        try:
            while rest and not self.error:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)


@contextmanager
def _written(path: str | os.PathLike[str]) -> Iterator["h5py.File"]:
    """Give an HDF5 file to write, `atomic`."""
    import h5py

    with atomic(path) as temporary, _Spared(temporary, "w+") as stream:
        with h5py.File(stream, "w", track_order=True) as file:
            yield file
        if stream.error:
            raise stream.error


@contextmanager
def _opened(path: str | os.PathLike[str], what: str) -> Iterator["h5py.File"]:
    import h5py

    try:
        with h5py.File(path) as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise UserError(f"{path}: not a readable {what} ({error}); remove it and run again") from error


# ------------------------------------------------------------------------------------------------- datasets
@dataclass(frozen=True)
class Part:
    """One part of a dataset: some rows of a pool of images, which several parts may share.

    Attributes
    ----------
    pool : ndarray
        uint8 (M, C, H, W); mapped from its file, where it was read, so that only what is used takes memory.
    labels : ndarray
        int64 (N,), of the rows.
    rows : ndarray or slice
        int64 (N,); all, where nothing else is said.
    """

    pool: np.ndarray
    labels: np.ndarray
    rows: np.ndarray | slice = field(default_factory=lambda: slice(None))

    @property
    def images(self) -> np.ndarray:
        """The part's images in memory, uint8 (N, C, H, W)."""
        return self.pool[self.rows]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> "Part":
        """Return the part's images and labels at `indices`."""
        return Part(self.pool, self.labels[indices], np.arange(len(self.pool))[self.rows][indices])


@dataclass(frozen=True)
class Dataset:
    """A dataset as it is trained on.

    Attributes
    ----------
    name : str
    classes : tuple of str
    mean, std : ndarray
        Of the training part's channels on the scale 0..1; float64 (C,).
    parts : dict of str to Part
        ``train``, and of ``validation`` and ``test`` those that were asked for and exist.
    fingerprint : str
        SHA-256 of the file's images, labels and split.
    """

    name: str
    classes: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    parts: Mapping[str, Part]
    fingerprint: str


def write_dataset(
    path: str | os.PathLike[str],
    *,
    name: str,
    classes: Sequence[str],
    mean: np.ndarray,
    std: np.ndarray,
    pool: Part,
    split: Mapping[str, np.ndarray],
    test: Part | None,
    provenance: Mapping[str, Any],
) -> None:
    """Write ``dataset.h5``: `pool` with its `split` into ``train`` and ``validation`` indices, and the test part."""
    with _written(path) as file:
        file["images"], file["labels"] = pool.images, pool.labels
        for part, indices in split.items():
            file[f"split/{part}"] = indices
        if test is not None:
            file["test/images"], file["test/labels"] = test.images, test.labels
        file["classes"] = [str(label) for label in classes]
        file["mean"], file["std"] = mean, std
        arrays = [pool.images, pool.labels, *split.values(), *([test.images, test.labels] if test else [])]
        file.attrs.update(name=name, fingerprint=fingerprint(*arrays), provenance=json.dumps(provenance))


def read_dataset(path: str | os.PathLike[str], parts: Sequence[str] = ("train", "validation", "test")) -> Dataset:
    """Read a ``dataset.h5``, and of its parts only those named that exist; the images stay mapped from the file.

    Raises
    ------
    UserError
        If the file is truncated or no ``dataset.h5``.
    """
    with _opened(path, "dataset.h5") as file:
        images, labels = _mapped(file["images"]), file["labels"][...]
        wanted = {part: file[f"split/{part}"][...] for part in parts if f"split/{part}" in file}
        found = {part: Part(images, labels[indices], indices) for part, indices in wanted.items()}
        if "test" in parts and "test" in file:
            found["test"] = Part(_mapped(file["test/images"]), file["test/labels"][...])
        return Dataset(
            name=file.attrs["name"],
            classes=tuple(file["classes"].asstr()[...]),
            mean=file["mean"][...],
            std=file["std"][...],
            parts=found,
            fingerprint=file.attrs["fingerprint"],
        )


def _mapped(stored: "h5py.Dataset") -> np.ndarray:
    """Map an array that lies in one piece; changes of it would not reach the file."""
    offset = stored.id.get_offset()
    if offset is None:  # in chunks, as another program may have written it
        return stored[...]
    return np.memmap(stored.file.filename, stored.dtype, mode="c", offset=offset, shape=stored.shape)


# ------------------------------------------------------------------------------------------------- feature matrices
@dataclass(frozen=True)
class Features:
    """The feature matrices of a network, as thin factors.

    Attributes
    ----------
    factors : dict
        ``factors[kind][layer]``, kind ``nfm`` or ``agop``: float32 (groups, rank, patch).
    layers : dict
        ``layers[layer]``: the convolution's geometry, as in the file's attributes.
    attributes : dict
        What holds for the whole file: images, estimator, source, weights' hash, fingerprint.
    standard_errors : dict
        ``standard_errors[layer]`` of AGOP's estimate, relative; 0 where it is exact.
    """

    factors: Mapping[str, Mapping[str, np.ndarray]]
    layers: Mapping[str, Mapping[str, Any]]
    attributes: Mapping[str, Any]
    standard_errors: Mapping[str, float]


def write_features(path: str | os.PathLike[str], features: Features, provenance: Mapping[str, Any]) -> None:
    """Write ``features.h5``."""
    with _written(path) as file:
        for kind in KINDS:
            group = file.create_group(kind, track_order=True)
            for layer, factor in features.factors[kind].items():
                group[f"{layer}/factor"] = factor
                group[layer].attrs.update(features.layers[layer])
        for layer, error in features.standard_errors.items():
            file[f"agop/{layer}"].attrs["standard_error"] = error
        arrays = [factor for kind in KINDS for factor in features.factors[kind].values()]
        file.attrs.update(features.attributes, fingerprint=fingerprint(*arrays), provenance=json.dumps(provenance))


def read_features(path: str | os.PathLike[str]) -> Features:
    """Read a ``features.h5``.

    Raises
    ------
    UserError
        If the file is truncated or no ``features.h5``.
    """
    with _opened(path, "features.h5") as file:
        factors = {kind: {layer: group["factor"][...] for layer, group in file[kind].items()} for kind in KINDS}
        layers = {layer: dict(group.attrs) for layer, group in file["nfm"].items()}
        errors = {layer: float(group.attrs["standard_error"]) for layer, group in file["agop"].items()}
        return Features(factors, layers, dict(file.attrs), errors)


# ------------------------------------------------------------------------------------------------- kernel machines
@dataclass(frozen=True)
class Learnt:
    """What a machine has learnt to look for, as in ``learnt.h5``.

    Attributes
    ----------
    images : ndarray
        float32 (n, channels, height, width).
    matrices : mapping of str to ndarray
        By layer, the feature matrix, (patch, patch).
    shapes : mapping of str to tuple of int
        By layer, that of its patches: channels, rows, columns.
    looks : mapping of str to ndarray
        By layer, how much of each image it lets through, (n, rows, columns).
    """

    images: np.ndarray
    matrices: Mapping[str, np.ndarray]
    shapes: Mapping[str, tuple[int, int, int]]
    looks: Mapping[str, np.ndarray]


def write_learnt(path: str | os.PathLike[str], learnt: Learnt, provenance: Mapping[str, Any]) -> None:
    """Write ``learnt.h5``."""
    with _written(path) as file:
        file["images"] = learnt.images
        layers = file.create_group("layers", track_order=True)
        for layer, matrix in learnt.matrices.items():
            group = layers.create_group(layer)
            group["matrix"], group["looks"] = matrix, learnt.looks[layer]
            group.attrs["shape"] = learnt.shapes[layer]
        file.attrs["provenance"] = json.dumps(provenance)


def read_learnt(path: str | os.PathLike[str]) -> Learnt:
    """Read a ``learnt.h5``.

    Raises
    ------
    UserError
        If the file is truncated or no ``learnt.h5``.
    """
    with _opened(path, "learnt.h5") as file:
        layers = file["layers"]
        matrices = {layer: group["matrix"][...] for layer, group in layers.items()}
        looks = {layer: group["looks"][...] for layer, group in layers.items()}
        shapes = {}
        for layer, group in layers.items():
            channels, rows, columns = group.attrs["shape"].tolist()
            shapes[layer] = channels, rows, columns
        return Learnt(file["images"][...], matrices, shapes, looks)


# ------------------------------------------------------------------------------------------------- evolution
@dataclass(frozen=True)
class Followed:
    """A convolution at moments of a training, as in ``evolution.h5``."""

    filters: np.ndarray
    agop: np.ndarray
    outputs: np.ndarray
    correlations: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evolution:
    """What was seen of a training, as in ``evolution.h5``."""

    curves: Mapping[str, np.ndarray]
    layers: Mapping[str, Followed]
    image: np.ndarray
    name: str = ""


def write_evolution(path: str | os.PathLike[str], evolution: Evolution, provenance: Mapping[str, Any]) -> None:
    """Write ``evolution.h5``."""
    with _written(path) as file:
        file["image"] = evolution.image
        for name, values in evolution.curves.items():
            file[f"curves/{name}"] = values
        layers = file.create_group("layers", track_order=True)
        for layer, followed in evolution.layers.items():
            group = layers.create_group(layer)
            for name in ("filters", "agop", "outputs"):
                group[name] = getattr(followed, name)
            for pair, values in followed.correlations.items():
                group[f"correlations/{pair}"] = values
        file.attrs.update(name=evolution.name, provenance=json.dumps(provenance))


def read_evolution(path: str | os.PathLike[str]) -> Evolution:
    """Read an ``evolution.h5``.

    Raises
    ------
    UserError
        If the file is truncated or no ``evolution.h5``.
    """
    with _opened(path, "evolution.h5") as file:
        layers = {
            layer: Followed(
                group["filters"][...],
                group["agop"][...],
                group["outputs"][...],
                {pair: values[...] for pair, values in group["correlations"].items()},
            )
            for layer, group in file["layers"].items()
        }
        curves = {name: values[...] for name, values in file["curves"].items()}
        return Evolution(curves, layers, file["image"][...], file.attrs["name"])


def read_attributes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what holds for the whole of an HDF5 file.

    Raises
    ------
    UserError
        If the file is truncated.
    """
    with _opened(path, "HDF5 file") as file:
        return {key: value.item() if isinstance(value, np.generic) else value for key, value in file.attrs.items()}


# ------------------------------------------------------------------------------------------------- runs
def read_scores(path: str | os.PathLike[str]) -> "pd.DataFrame":
    """Read a table of `SCORES`; raise a UserError if it is not whole."""
    table = read_csv(path, SCORES)[list(SCORES)]
    if table.isna().any(axis=None) or table.accuracy.dtype.kind != "f":
        raise UserError(f"{path}: is not whole; remove it and run again")
    return table


def write_csv(path: str | os.PathLike[str], table: "pd.DataFrame") -> None:
    """Write a table; floats in the shortest form that reads back as the same number."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text, in UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a dictionary of plain types."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    return _read_whole(path, lambda path: json.loads(path.read_text()), ())


def write_metrics(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``metrics.csv``: one row an epoch."""
    with atomic(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, METRICS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def gather(metrics: Paths, summaries: Paths) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Collect runs.

    Parameters
    ----------
    metrics, summaries : sequence of paths
        The ``metrics.csv`` and the ``summary.json`` of each run, in the same order.

    Returns
    -------
    tidy : DataFrame
        As in ``tidy.csv``.
    runs : DataFrame
        As in ``runs.csv``.

    Raises
    ------
    UserError
        If a file is not as it was written.
    """
    import pandas as pd

    outcomes = [_read_whole(path, lambda path: json.loads(path.read_text()), (*RUN, *OUTCOME)) for path in summaries]
    epochs = [_read_whole(path, _read_table, METRICS).drop(columns=list(CLOCK)) for path in metrics]
    for table, outcome in zip(epochs, outcomes, strict=True):
        for position, key in enumerate(RUN):
            table.insert(position, key, outcome[key])
    runs = pd.DataFrame([{key: outcome[key] for key in (*RUN, *OUTCOME)} for outcome in outcomes])
    return pd.concat(epochs, ignore_index=True), runs


def resources(benchmarks: Paths, runs: "pd.DataFrame") -> "pd.DataFrame":
    """Return what runs took, as in ``resources.csv``.

    Parameters
    ----------
    benchmarks : sequence of paths
        Snakemake's benchmark file of each run, in the order of `runs`. What one does not say is left empty: it is not
        worth a training.
    runs : DataFrame
        As in ``runs.csv``.
    """
    import pandas as pd

    jobs = pd.DataFrame([_read_benchmark(path) for path in benchmarks], columns=["s", "max_rss"])
    jobs = jobs.apply(pd.to_numeric, errors="coerce")
    table = runs[[*RUN, "device"]].assign(
        seconds=jobs.s, training_seconds=runs.seconds.round(3), memory_mb=jobs.max_rss, gpu_seconds=0.0
    )
    on_gpu = ~table.device.str.startswith("cpu")
    table.loc[on_gpu, "gpu_seconds"] = table.loc[on_gpu, ["seconds", "training_seconds"]].max(axis=1)
    return table[[*RUN, *RESOURCES]]


def _read_benchmark(path: str | os.PathLike[str]) -> dict[str, str]:
    try:
        with open(path, newline="") as file:
            return next(csv.DictReader(file, delimiter="\t"), {})
    except (OSError, ValueError, csv.Error):
        return {}


def _read_table(path: Path) -> "pd.DataFrame":
    import pandas as pd

    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        raise ValueError("its last line is torn")
    header = next(csv.reader([text.partition("\n")[0]]), [])
    missing = {column: ["", "nan"] for column in header if column not in NAMED}
    names = dict.fromkeys(NAMED, str)
    return pd.read_csv(io.StringIO(text), dtype=names, keep_default_na=False, na_values=missing)


def _read_whole(path: str | os.PathLike[str], read: Callable[[Path], Any], keys: Sequence[str]) -> Any:
    try:
        found = read(Path(path))
        whole = not set(keys) - set(found) and len(found) > 0
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__}); remove it and run again") from error
    if not whole:
        raise UserError(f"{path}: is not whole; remove it and run again")
    return found


def read_csv(path: str | os.PathLike[str], columns: Sequence[str] = ()) -> "pd.DataFrame":
    """Read a table that `write_csv` wrote, number for number.

    Raises
    ------
    UserError
        If it cannot be read, or does not have the columns.
    """
    return _read_whole(path, _read_table, columns)
