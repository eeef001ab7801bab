"""Files: whole or not there."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from ansatz import statistics, store
from ansatz.errors import UserError
from ansatz.store import METRICS, Part, atomic
from disks import mounted


def write(path, n=10):
    rng = np.random.default_rng(0)
    part = Part(rng.integers(0, 256, (n, 3, 32, 32), np.uint8), rng.integers(0, 2, n))
    split = {"train": np.arange(n - 2), "validation": np.arange(n - 2, n)}
    one = np.ones(3)
    store.write_dataset(
        path, name="x", classes=["a", "b"], mean=one, std=one, pool=part, split=split, test=None, provenance={}
    )
    return part


def test_a_dataset_reads_back(tmp_path):
    part = write(tmp_path / "d.h5")
    data = store.read_dataset(tmp_path / "d.h5")
    assert (data.parts["train"].images == part.images[:8]).all()
    assert (data.parts["validation"].labels == part.labels[8:]).all()
    assert list(store.read_dataset(tmp_path / "d.h5", parts=["train"]).parts) == ["train"]


def scores(**changes):
    row = {"experiment": "a", "dataset": "b", "noise": 0.5, "machine": "cntk", "seed": 0}
    return pd.DataFrame([row | {"layers": 0, "accuracy": 0.5, "train": 9, "test": 9, "seconds": 1.5} | changes])


def test_names_that_look_like_something_else_stay_names(tmp_path):
    for name in ("NA", "007", "1e3", "null", "nan", "true"):
        store.write_csv(tmp_path / "scores.csv", scores(experiment=name, dataset=name))
        found = store.read_scores(tmp_path / "scores.csv")
        assert found[["experiment", "dataset"]].to_numpy().tolist() == [[name, name]]
        assert len(statistics.over_machines(found)) == 1


@pytest.mark.parametrize("change", [{"accuracy": None}, {"accuracy": "half"}, {"seconds": None}])
def test_scores_that_are_not_whole_are_named(tmp_path, change):
    store.write_csv(tmp_path / "scores.csv", scores(**change))
    with pytest.raises(UserError, match=r"scores\.csv: is not whole; remove it"):
        store.read_scores(tmp_path / "scores.csv")


@pytest.mark.parametrize("read", [store.read_dataset, store.read_features])
@pytest.mark.parametrize("harm", ["truncate", "text", "remove", "other"])
def test_broken_files_are_named(tmp_path, read, harm):
    path = tmp_path / "file.h5"
    write(path)
    if harm == "truncate":
        os.truncate(path, path.stat().st_size // 2)
    elif harm == "text":
        path.write_text("x")
    elif harm == "remove":
        path.unlink()
    elif read is store.read_dataset:
        store.write_features(path, store.Features({"nfm": {}, "agop": {}}, {}, {}, {}), {})
    with pytest.raises(UserError, match=r"file.h5: not a readable") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_what_fails_leaves_nothing(tmp_path):
    (tmp_path / "x").write_text("before")
    with pytest.raises(KeyboardInterrupt), atomic(tmp_path / "x") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "x").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture
def small_disk(tmp_path):
    with mounted(tmp_path / "disk", "size=1m"):
        yield tmp_path / "disk"


def test_a_full_disk_is_named_and_nothing_left(small_disk):
    with pytest.raises(UserError, match=r"big.h5: no space left on the device; nothing was written"):
        write(small_disk / "big.h5", n=1000)
    assert not list(small_disk.iterdir())


def write_features(path):
    factors = {kind: {layer: np.ones((1, 30, 30), np.float32) for layer in "abcd"} for kind in store.KINDS}
    geometry, errors = {layer: {"groups": 1} for layer in "abcd"}, dict.fromkeys("abcd", 0.0)
    store.write_features(path, store.Features(factors, geometry, {}, errors), {})


def write_learnt(path):
    matrices, looks = np.ones((4, 27, 27)), np.ones((4, 2, 20, 20))
    layers = {name: dict(zip("abcd", values, strict=True)) for name, values in (("M", matrices), ("looks", looks))}
    shapes = dict.fromkeys("abcd", (3, 3, 3))
    store.write_learnt(path, store.Learnt(np.ones((2, 3, 9, 9)), layers["M"], shapes, layers["looks"]), {})


def write_evolution(path):
    followed = store.Followed(np.ones((5, 8, 3, 3, 3)), np.ones((5, 1, 9, 27)), np.ones((5, 8, 9, 9)), {})
    layers = dict.fromkeys("abcd", followed)
    store.write_evolution(path, store.Evolution({"epoch": np.arange(5)}, layers, np.zeros((3, 8, 8), np.uint8)), {})


@pytest.mark.parametrize("write", [write, write_features, write_learnt, write_evolution])
def test_wherever_the_disk_is_full_hdf5_says_nothing(small_disk, capfd, write):
    """HDF5 prints what it cannot write, and crashes of some of it when the program ends."""
    fill, files = small_disk / "fill", small_disk / "files"
    files.mkdir()
    for free in range(4, 40, 4):  # kB
        fill.write_bytes(bytes(2**20 - 1024 * free))
        with pytest.raises(UserError, match="no space left on the device; nothing was written"):
            write(files / "x.h5")
        assert not list(files.iterdir())
        fill.unlink()
    write(files / "x.h5")
    assert capfd.readouterr().err == ""


def test_fingerprints_tell_types_shapes_and_values_apart():
    a = np.arange(6)
    others = [a.reshape(2, 3), a.astype(np.int32), a[::-1], a[:5]]
    assert len({store.fingerprint(x) for x in [a, *others]}) == 5
    assert store.fingerprint(a) == store.fingerprint(a.copy())


def run_files(folder, seed, accuracy):
    folder.mkdir(parents=True)
    rows = [dict.fromkeys(METRICS, 0.1) | {"epoch": 1, "status": "ok", "validation_accuracy": accuracy}]
    store.write_metrics(folder / "metrics.csv", rows)
    summary = {"dataset": "d", "initializer": "i", "seed": seed, **dict.fromkeys(store.OUTCOME, 1), "more": "x"}
    store.write_json(folder / "summary.json", summary)
    return folder / "metrics.csv", folder / "summary.json"


def test_runs_are_gathered_exactly_and_without_clocks(tmp_path):
    third = 1 / 3
    files = [run_files(tmp_path / str(seed), seed, third + seed) for seed in range(3)]
    tidy, runs = store.gather(*zip(*files, strict=True))
    assert list(tidy.columns[:3]) == list(runs.columns[:3]) == ["dataset", "initializer", "seed"]
    assert tidy.validation_accuracy.tolist() == [third, third + 1, third + 2]
    assert not {"seconds", "images_per_second"} & set(tidy.columns)
    store.write_csv(tmp_path / "tidy.csv", tidy)
    pd.testing.assert_frame_equal(store.read_csv(tmp_path / "tidy.csv"), tidy, check_exact=True)
    assert json.loads(files[0][1].read_text())["more"] == "x"


@pytest.mark.parametrize("harm", ["", "{}", "epoch,status\n1,ok\n", "[1]"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_broken_result_is_named(tmp_path, harm, which):
    files = run_files(tmp_path / "0", 0, 0.5)
    files[which].write_text(harm)
    with pytest.raises(UserError, match=rf"{files[which].name}: .*; remove it and run again"):
        store.gather([files[0]], [files[1]])


def test_resources_are_those_of_all_epochs_or_of_the_last_job_whichever_took_longer(tmp_path):
    runs = pd.DataFrame(
        {"dataset": "digits", "initializer": "nfm", "seed": [0, 1, 2], "device": ["cpu", "cuda", "cuda:1"]}
    ).assign(seconds=[30.0, 10.0, 90.0])  # the last one was interrupted: its epochs took longer than its last job
    files = []
    for number, memory in enumerate(["512.5", "-", "2000"]):
        files.append(tmp_path / f"{number}.tsv")
        files[-1].write_text(f"s\th:m:s\tmax_rss\n40.0\t0:00:40\t{memory}\n")
    table = store.resources(files, runs)
    assert list(table.columns) == [*store.RUN, *store.RESOURCES]
    assert table.gpu_seconds.tolist() == [0, 40, 90]
    assert table.memory_mb.isna().tolist() == [False, True, False]
    took = "3 runs took 0.03 hours of jobs, 0.04 GPU hours; the largest took 2.0 GB of memory."
    assert statistics.caption(table).endswith(took)
    files[0].unlink()
    files[1].write_bytes(b"\x00\xff")
    table = store.resources(files, runs)
    assert table.seconds.isna().tolist() == [True, True, False]
    assert table.gpu_seconds.tolist() == [0, 10, 90]


def test_a_torn_table_is_refused(tmp_path):
    (tmp_path / "torn.csv").write_text("a,b\n1,2\n3,4")
    with pytest.raises(UserError, match="cannot be read"):
        store.read_csv(tmp_path / "torn.csv", ["a", "b"])
