"""The division of a dataset into images to train and to validate on."""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ansatz.files.dataset import Dataset, Part, read_dataset
from ansatz.seeds import derive_seed


def read_split(path: str | os.PathLike[str], parts: Sequence[str], seed: int | None) -> Dataset:
    """Read a ``dataset.h5``, with its training and validation images divided as a seed says.

    Parameters
    ----------
    path : path
    parts : sequence of str
        As for `ansatz.files.dataset.read_dataset`, and with its errors.
    seed : int or None
        None for the division in the file, which also stays if the dataset itself says what to validate on. The mean and
        standard deviation of the channels are always those of the division in the file.
    """
    if seed is None:
        return read_dataset(path, parts)
    data = read_dataset(path)
    return replace(data, parts={name: part for name, part in _divided(data, seed).items() if name in parts})


def _divided(data: Dataset, seed: int) -> dict[str, Part]:
    if data.official_split:
        return dict(data.parts)
    train, validation = data.parts["train"], data.parts["validation"]
    rows = np.concatenate([train.indices, validation.indices])  # (N,) of the pool, which both share
    order = np.argsort(rows)
    everything = Part(train.pool, np.concatenate([train.labels, validation.labels])[order], rows[order])
    held_out = stratified(everything.labels, len(validation), derive_seed(seed, "split"))
    return {
        **data.parts,
        "train": everything.subset(np.flatnonzero(~held_out)),
        "validation": everything.subset(np.flatnonzero(held_out)),
    }


def stratified(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Choose images at random, of each class its share.

    Parameters
    ----------
    labels : ndarray
        int (N,).
    count : int
        How many to choose.
    seed : int

    Returns
    -------
    ndarray
        bool (N,), `count` of them True; of each class, the number differs from its share by less than 1.
    """
    sizes = np.unique(labels, return_counts=True)[1]  # of each class
    shares = count * sizes / len(labels)
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: count - counts.sum()]] += 1  # those that lack most
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # (N,) class by class, at random within each
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # (N,) within the class
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[order[rank < np.repeat(counts, sizes)]] = True
    return chosen
