"""results/README.md, held against files that the workflow has made: every array, attribute and column, and its code."""

import re

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from ansatz.data.batches import on_device
from ansatz.data.prepare import prepare
from ansatz.features.stored import read_matrices
from ansatz.files.dataset import read_dataset
from ansatz.networks.build import build
from ansatz.networks.weights import save_weights
from ansatz.training.config import TrainingConfig
from ansatz.training.trainer import Trainer
from made_images import CPU, made_dataset
from own_images import picture
from real_data import ROOT

TEXT = (ROOT / "results/README.md").read_text()
EVERY_FILE = {"@provenance", "@fingerprint"}
PLACES = {  # of the default configuration -> of the small one of tests
    "results/digits/": "results/test/",
    "sources/digits/seed0": "sources/digits",
    "evolution/lenet5": "evolution/lenet",
    "bars/noise2": "bars/noise1",
}


def quoted(text):
    return re.findall("`([^`]+)`", text)


def rows_of(section):
    """Return the cells of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def matching(name, patterns):
    """Return the one pattern that a name matches, and what stands for the words in angle brackets."""
    found = []
    for pattern in patterns:
        parts = re.split("<.+?>", pattern)
        if match := re.fullmatch("([^/@]+)".join(map(re.escape, parts)), name):
            found.append((pattern, match.groups()))
    assert len(found) == 1, f"{name} matches {found}"
    return found[0]


def files_like(pattern, results):
    files = list(results.glob(re.sub("<.+?>", "*", pattern)))
    assert files, f"there is no {pattern}"
    return files


# ------------------------------------------------------------------------------------------------- arrays
ARRAYS = TEXT.partition("\n## Tables")[0]
SECTIONS = {tuple(quoted(section.partition("\n")[0])): section for section in ARRAYS.split("\n### ")[1:]}


def content(path):
    """Return the arrays and attributes of a file by name."""
    with h5py.File(path) as file:
        members = {f"@{key}": value for key, value in file.attrs.items()}

        def add(name, member):
            members.update({f"{name}@{key}": value for key, value in member.attrs.items()})
            if isinstance(member, h5py.Dataset):
                members[name] = member.asstr()[...] if h5py.check_string_dtype(member.dtype) else member[...]

        file.visititems(add)
    assert members.keys() >= EVERY_FILE
    return {name: np.asarray(value) for name, value in members.items() if name not in EVERY_FILE}


def type_of(array):
    return "text" if array.dtype.kind in "OU" else array.dtype.name


def described(section):
    """Map the names in a section's table to their types and shapes."""
    entries = {}
    for names, types, shape, _ in rows_of(section):
        names, types = quoted(names), types.split(", ")
        types = types * len(names) if len(types) == 1 else types
        entries |= {name: (type_, shape) for name, type_ in zip(names, types, strict=True)}
    return entries


@pytest.mark.parametrize("patterns", SECTIONS, ids=lambda patterns: patterns[0].rpartition("/")[2])
def test_every_array_and_attribute_is_described_as_it_is(patterns, complete_once, tmp_path):
    entries, seen = described(SECTIONS[patterns]), set()
    files = [file for pattern in patterns for file in files_like(pattern, complete_once.results)]
    if files[0].name == "dataset.h5":
        files.append(of_own_images(tmp_path))  # with test images
    for file in files:
        sizes = {}
        for name, array in content(file).items():
            pattern, words = matching(name, entries)
            type_, shape = entries[pattern]
            assert type_of(array) == type_, name
            symbols = shape.split(", ") if shape else []
            assert array.ndim == len(symbols), name
            for symbol, size in zip(symbols, array.shape, strict=True):
                expected = int(symbol) if symbol.isdigit() else sizes.setdefault((symbol, words), size)
                assert size == expected, f"{name}: {symbol}"
            seen.add(pattern)
    assert seen == set(entries)


def of_own_images(folder):
    for number, part in enumerate(("train", "train", "train", "test")):
        for label in ("cat", "dog"):
            picture(folder / "images" / part / label / f"{number}.png", size=(8, 8))
    prepare("pets", folder / "images", folder / "dataset.h5", own=True)
    return folder / "dataset.h5"


# ------------------------------------------------------------------------------------------------- tables
TABLES = {quoted(file)[0]: quoted(columns) for file, _, columns in rows_of(TEXT.partition("\n## Tables")[2])}


@pytest.mark.parametrize("pattern", TABLES)
def test_every_column_is_described(pattern, complete_once):
    for file in files_like(pattern, complete_once.results):
        columns = pd.read_csv(file, nrows=0).columns
        assert {matching(column, TABLES[pattern])[0] for column in columns} == set(TABLES[pattern])


# ------------------------------------------------------------------------------------------------- examples
EXAMPLES = {
    re.search(r'"results/[^"]*/([^"/]+)"', code).group(1): code
    for code in re.findall("```python\n(.*?)```", TEXT, re.DOTALL)
}


def run(code):
    names = {}
    exec(compile(code, "results/README.md", "exec"), names)
    return names


@pytest.fixture
def example(complete_once, monkeypatch):
    """Return a function that runs the example that reads a file, and returns its names and the file."""

    def of(name):
        code = EXAMPLES[name]
        for place, small in PLACES.items():
            code = code.replace(place, small)
        monkeypatch.chdir(complete_once.path)
        return run(code), complete_once.path / re.search('"(results/[^"]+)"', code).group(1)

    return of


def test_the_example_of_a_dataset_reads_the_training_part(example):
    names, file = example("dataset.h5")
    part = read_dataset(file).parts["train"]
    assert (names["images"] == part.images).all()
    assert (names["labels"] == part.labels).all()


def test_the_example_of_features_reads_a_matrix(example):
    names, file = example("features.h5")
    assert names["agop"] == pytest.approx(read_matrices(file)["agop"]["features.3"].dense().numpy(), rel=1e-4)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ("dataset.h5", "features.h5", "weights.pt")])
def test_examples_run(name, example, capsys):
    example(name)
    assert len(capsys.readouterr().out) > 20


@pytest.mark.usefixtures("one_thread")
def test_weights_of_a_training_load_in_plain_torchvision(tmp_path, monkeypatch):
    images = on_device(made_dataset(train=16, validation=8), size=32, channels=3, device=CPU)
    network = build("resnet18", classes=10, seed=0)
    trainer = Trainer(network, images, TrainingConfig(epochs=1, batch_size=8), seed=0)
    trainer.train()
    code = EXAMPLES["weights.pt"]
    path = tmp_path / re.search('"(results/[^"]+)"', code).group(1)
    path.parent.mkdir(parents=True)
    save_weights(trainer.network_of("best"), path)
    monkeypatch.chdir(tmp_path)
    loaded, batch = run(code)["network"], torch.randn(2, 3, 64, 64)
    trained = trainer.network_of("best").eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(batch), trained(batch))
