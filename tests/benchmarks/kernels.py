"""Kernels of images and the AGOPs of their predictors, by neural-tangents and by ours, in float32 on the CPU.

Also regression with Nyström centres, compared with the exact solution in the column of the plain way.

neural-tangents requires other versions, so the program that uses it, `peer_neural_tangents.py`, runs in another Python
(3.9 to 3.12), which ANSATZ_NEURAL_TANGENTS names; without it, only our figures are shown::

    python3.11 -m venv peer
    peer/bin/pip install jax==0.4.30 jaxlib==0.4.30 numpy==1.26.4 scipy==1.12.0 frozendict einops tqdm
    peer/bin/pip install --no-deps neural_tangents==0.6.5
    export ANSATZ_NEURAL_TANGENTS=$PWD/peer/bin/python

It is called in two ways: as the authors of ConvRFM call it, once, to which the targets refer; and in the fastest way we
found, in blocks whose compilation is not timed. Both compute the kernel of all pairs, ours each pair once, and the
gradients of `jax.grad`, one output at a time, by the pixels of images whose patches lie side by side. Memory is what a
process uses beyond its imports and the images.
"""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from ansatz.devices import take_device
from ansatz.machines.cntk import CNTK
from ansatz.machines.kernel_matrix import kernel_matrix, predictor_agop
from ansatz.machines.ridge import kernel_ridge, nystroem
from ansatz.machines.tasks import bars
from benchmarks.measure import Row, alone, mark, spread

PEER = "ANSATZ_NEURAL_TANGENTS"
SHAPES = (1, 28, 28), (3, 32, 32)
COUNTS = (200, 400, 800)
SAMPLES, OUTPUTS = 20, 10
DEPTH, PATCH_SIZE = 3, 3
FIRST = 25  # images of a first call, which is not timed
REPEATS = 3
BARS, CENTRES, RIDGE = 2000, (200, 500, 1000), 1e-3  # of Nyström's rows
TARGETS = {"kernel": 5, "AGOP": 20}  # times faster
MEMORY = 0.5
AGREEMENT = {"kernel": 1e-5, "AGOP": 1e-3}

Found = dict[str, float]  # seconds of the kernel and of the AGOP, and the bytes that they took


def case(shape: tuple[int, ...], n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return images, alphas and samples.

    The samples are none of the images: at an image itself the gradient of autodiff is not a number.
    """
    random = torch.Generator().manual_seed(0)
    x, samples = (torch.rand(count, *shape, generator=random) for count in (n, SAMPLES))
    return x, torch.randn(n, OUTPUTS, generator=random), samples


def compute(what: str, x: torch.Tensor, alphas: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """Return the kernel or the AGOP."""
    kernel = CNTK(DEPTH, PATCH_SIZE)
    return kernel_matrix(kernel, x) if what == "kernel" else predictor_agop(kernel, x, alphas, samples)


def seconds(what: str, shape: tuple[int, ...], n: int) -> float:
    """Return the seconds of ours."""
    take_device("cpu", os.cpu_count() or 1)
    x, alphas, samples = case(shape, n)
    mark()
    compute(what, x[:FIRST], alphas[:FIRST], samples)
    start = time.perf_counter()
    compute(what, x, alphas, samples)
    return time.perf_counter() - start


def ours(shape: tuple[int, ...], n: int) -> Found:
    """Measure ours, the kernel and the AGOP each in a process of its own."""
    found = {what: alone(seconds, what, shape, n) for what in TARGETS}
    return {what: run[0] for what, run in found.items()} | {"memory": max(run[1] for run in found.values())}


def plain(python: str, shape: tuple[int, ...], n: int, folder: Path, way: str) -> Found:
    """Measure neural-tangents; what it computed is left in the folder."""
    x, alphas, samples = case(shape, n)
    np.savez(folder / "case.npz", x=x.numpy(), alphas=alphas.numpy(), samples=samples.numpy())
    program = Path(__file__).with_name("peer_neural_tangents.py")
    command = [python, "-I", program, folder, str(DEPTH), str(PATCH_SIZE), way]  # -I: with none of our modules
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measured(python: str, shape: tuple[int, ...], n: int, way: str) -> Found:
    """Measure neural-tangents, and keep nothing of what it computed."""
    with TemporaryDirectory() as folder:
        return plain(python, shape, n, Path(folder), way)


def difference(what: str, shape: tuple[int, ...], n: int, folder: Path) -> float:
    """Return the largest difference to what is in the folder, of the largest value; of the kernel off the diagonal."""
    take_device("cpu", os.cpu_count() or 1)
    expected, found = np.load(folder / "found.npz")[what], compute(what, *case(shape, n)).numpy()
    if what == "kernel":  # where the peer, given two sets, cannot know that two images are one
        expected, found = (matrix[~np.eye(n, dtype=bool)] for matrix in (expected, found))
    return float(abs(found - expected).max() / abs(expected).max())


def agreement(python: str, shape: tuple[int, ...], n: int) -> list[Row]:
    """Return the rows that compare what the two programs compute."""
    with TemporaryDirectory() as folder:
        plain(python, shape, n, Path(folder), "compiled")
        errors = {what: alone(difference, what, shape, n, Path(folder))[0] for what in AGREEMENT}
    return [
        Row(
            f"{named(what, shape, n)}: largest relative difference{' off the diagonal' if what == 'kernel' else ''}",
            "",
            f"{error:.1e}",
            "",
            f"≤ {AGREEMENT[what]:.0e}",
            error <= AGREEMENT[what],
        )
        for what, error in errors.items()
    ]


def named(what: str, shape: tuple[int, ...], n: int | None = None) -> str:
    """Return the beginning of a row."""
    channels, height, width = shape
    return f"{what} of {f'{n} ' if n else ''}images, {height}x{width}x{channels}"


def rows_of(shape: tuple[int, ...], n: int, way: str, peer: list[Found], own: list[Found]) -> list[Row]:
    """Return the rows of a number of images; the peer's are none where there is no peer."""
    found = []
    as_called = f", {way}" if peer else ""
    for what, least in TARGETS.items():
        texts = [f"{spread([run[what] for run in runs])} s" if runs else "" for runs in (peer, own)]
        row = Row(f"{named(what, shape, n)}{as_called}", *texts, n=len(peer) or len(own))
        if peer:
            ratios = [a[what] / b[what] for a, b in zip(peer, own, strict=False)]
            row.factor = f"{spread(ratios)} x"
            if way == "published":
                row.target, row.met = f"{least} x", statistics.median(ratios) >= least
        found.append(row)
    peaks = [statistics.median(run["memory"] for run in runs) for runs in (peer, own) if runs]
    texts = [f"{peak / 1e9:.2f} GB" for peak in peaks]
    name = f"{named('kernel and AGOP', shape, n)}{as_called}: peak memory"
    row = Row(name, *texts[:-1], ours=texts[-1], n=len(peer) or len(own))
    if peer:
        share = peaks[1] / peaks[0]
        row.factor = f"{share:.2f} x"
        if way == "published":
            row.target, row.met = f"≤ {MEMORY} x", share <= MEMORY
    return [*found, row]


def growth(what: str, runs: dict[int, list[Found]]) -> str:
    """Return the power of n that the seconds grow with: the slope of their logarithm over n's."""
    medians = [statistics.median(run[what] for run in of_n) for of_n in runs.values()]
    return f"n^{np.polyfit(np.log(list(runs)), np.log(medians), 1)[0]:.2f}"


def solved(centres: int | None) -> tuple[float, np.ndarray]:
    """Return the seconds of fitting bars in noise, with centres or exactly, and the outputs for the test images."""
    device = take_device("cpu", os.cpu_count() or 1)
    task = bars(None, BARS, BARS, 0, noise=0.5)
    x, z = (torch.from_numpy(images).to(device) for images in (task.x_train, task.x_test))
    y = torch.eye(2)[torch.from_numpy(task.y_train)]
    mark()
    start = time.perf_counter()
    kernel, ridges = CNTK(DEPTH, PATCH_SIZE), [RIDGE]
    found = nystroem(kernel, x, y, x[:centres], ridges) if centres else kernel_ridge(kernel, x, y, ridges)
    return time.perf_counter() - start, found.outputs(z)[0].numpy()


def of_centres() -> list[Row]:
    """Return the rows that compare Nyström's solution with the direct one: seconds, memory, error."""
    found, labels = [], bars(None, BARS, BARS, 0, noise=0.5).y_test
    rounds = [{centres: alone(solved, centres) for centres in (None, *CENTRES)} for _ in range(REPEATS)]
    for centres in CENTRES:
        sides = [[one[which] for one in rounds] for which in (None, centres)]  # of each: ((seconds, outputs), bytes)
        texts = [f"{spread([run[0][0] for run in side])} s" for side in sides]
        factor = f"{spread([a[0][0] / b[0][0] for a, b in zip(*sides, strict=True)])} x"
        what = f"learn {BARS} images, 16x32x1, from {centres} centres"
        found.append(Row(what, *texts, factor, n=REPEATS))
        peaks = [statistics.median(run[1] for run in side) for side in sides]
        texts = [f"{peak / 1e9:.2f} GB" for peak in peaks]
        found.append(Row(f"{what}: peak memory", *texts, f"{peaks[1] / peaks[0]:.2f} x", n=REPEATS))
        exact, near = (side[0][0][1] for side in sides)
        texts = [f"{100 * (one.argmax(1) == labels).mean():.1f} %" for one in (exact, near)]
        found.append(Row(f"{what}: test accuracy", *texts))
        error = np.linalg.norm(near - exact) / np.linalg.norm(exact)
        found.append(Row(f"{what}: error of the outputs, relative", "", f"{100 * error:.0f} %"))
    return found


def rows(counts: tuple[int, ...] = COUNTS) -> list[Row]:
    """Return the table's part."""
    python = os.environ.get(PEER)
    found = of_centres()
    found += [] if python else [Row("kernels: neural-tangents", f"not run: {PEER} is not set", n=0)]
    for shape in SHAPES:
        compiled: dict[int, list[Found]] = {n: [] for n in counts}
        own: dict[int, list[Found]] = {n: [] for n in counts}
        for n in counts:
            for _ in range(REPEATS):
                if python:
                    compiled[n].append(measured(python, shape, n, "compiled"))
                own[n].append(ours(shape, n))
            if python:
                found += rows_of(shape, n, "published", [measured(python, shape, n, "published")], own[n])
            found += rows_of(shape, n, "compiled", compiled[n], own[n])
        for what in TARGETS:
            text = growth(what, compiled) if python else ""
            found.append(Row(f"{named(what, shape)}: growth of the seconds", text, growth(what, own), n=REPEATS))
        if python:
            found += agreement(python, shape, counts[0])
    return found
