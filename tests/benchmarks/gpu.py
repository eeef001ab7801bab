"""The rows that need a GPU, in one call of at most 8 minutes; Python, torch and torchvision are enough.

    export PYTHONPATH=scripts:tests
    python -m benchmarks.gpu                    # everything, on cuda
    python -m benchmarks.gpu kernels            # or training, extraction: these parts
    python -m benchmarks.gpu --try              # a few images on the CPU: whether it runs, not how fast

Rows are printed as they are measured; the end lists those for which there was no time.
"""

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from ansatz.devices import take_device, working_memory
from ansatz.features.agop import agop, batch_size
from ansatz.machines.cntk import CNTK
from ansatz.machines.compiled import compiled
from ansatz.machines.kernel_matrix import kernel_matrix, predictor_agop
from ansatz.networks.build import build
from ansatz.networks.maps import CONVOLUTIONS
from benchmarks import training
from benchmarks.measure import Row, alone, hardware, table

LIMIT = 7 * 60  # seconds after which nothing new is begun
FLOP = 45.7e9  # of one image of VGG11 at 224 px, forward and backward
GRID = 118e6  # image passes of the published grid: 4 datasets x 9 initializers x 3 seeds x 20 epochs


@dataclass(frozen=True)
class Scale:
    """How much of it: on a GPU, and to try it."""

    device: str
    large: int  # pixels
    steps: int
    images: int
    matrix: int
    pairs: int  # images of which kernels compare all pairs


GPU = Scale("cuda", 224, 60, 128, 8192, 10_000)
TRIAL = Scale("cpu", 64, 2, 4, 256, 40)


def matrix_rate(scale: Scale) -> float:
    """Return the FLOP/s of products of square bfloat16 matrices."""
    a = torch.randn(scale.matrix, scale.matrix, device=scale.device, dtype=torch.bfloat16)
    repeats = 50
    for _ in range(5):
        a @ a
    finish(scale)
    start = time.perf_counter()
    for _ in range(repeats):
        a @ a
    finish(scale)
    return 2 * scale.matrix**3 * repeats / (time.perf_counter() - start)


def extraction(scale: Scale, name: str, classes: int, probes: int | None, precision: str) -> float:
    """Return the seconds an image of AGOP, in batches as large as the memory allows."""
    device = take_device(scale.device, torch.get_num_threads())
    network = build(name, classes, seed=0).eval().to(device)
    x = torch.randn(scale.images, 3, scale.large, scale.large, device=device)
    size = batch_size(network, x[:1], working_memory(device), CONVOLUTIONS)
    agop(network, x[:size].split(size), probes=probes, precision=precision, layers=CONVOLUTIONS)
    finish(scale)
    start = time.perf_counter()
    agop(network, x.split(size), probes=probes, precision=precision, layers=CONVOLUTIONS)
    finish(scale)
    return (time.perf_counter() - start) / len(x)


def of_kernel(scale: Scale, what: str, fused: bool) -> tuple[float, float]:
    """Return the seconds of the kernel, or of its AGOP, of images of CIFAR-10's size, and the most bytes of the GPU."""
    device = take_device(scale.device, torch.get_num_threads())
    x = torch.rand(scale.pairs, 3, 32, 32, device=device)
    alphas = torch.randn(scale.pairs, 10, device=device)
    kernel, memory = compiled(CNTK()) if fused else CNTK(), working_memory(device)

    def compute() -> float:
        start = time.perf_counter()
        if what == "kernel":
            kernel_matrix(kernel, x, memory=memory)
        else:
            predictor_agop(kernel, x, alphas, x[:20], memory=memory)
        finish(scale)
        return time.perf_counter() - start

    compute()  # compiles, and takes the memory
    if scale.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    return compute(), torch.cuda.max_memory_allocated()


def together(scale: Scale, count: int) -> float:
    """Return the seconds an image, of all, of so many trainings at 32 px at once, each a process of its own."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as processes:
        each = [processes.submit(training.ours, 32, scale.steps * 4, "bfloat16", scale.device) for _ in range(count)]
        return 1 / sum(1 / one.result() for one in each)


def stacked(scale: Scale, count: int) -> float:
    """Return the seconds an image, of all, of so many seeds stacked in one process."""
    device = take_device(scale.device, torch.get_num_threads())
    networks = [build("vgg11", 10, seed=seed).to(device) for seed in range(count)]
    for network in networks:
        for module in network.modules():
            module.inplace = False  # type: ignore[assignment]  vmap does not take operations in place
    parameters, buffers = stack_module_state(networks)
    momenta = {name: torch.zeros_like(value) for name, value in parameters.items()}
    x = torch.randn(count, training.BATCH, 3, 32, 32, device=device)
    y = torch.randint(10, (count, training.BATCH), device=device)

    def loss(parameters: dict, buffers: dict, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast(scale.device, torch.bfloat16):
            return cross_entropy(functional_call(networks[0], (parameters, buffers), (x,)).float(), y)

    gradients_of = vmap(grad(loss), randomness="different")
    start = 0.0
    for step in range(scale.steps + 3):
        if step == 3:
            finish(scale)
            start = time.perf_counter()
        for name, gradient in gradients_of(parameters, buffers, x, y).items():
            momenta[name].mul_(0.9).add_(gradient + 5e-4 * parameters[name])
            parameters[name].data.sub_(1e-3 * momenta[name])
    finish(scale)
    return (time.perf_counter() - start) / (scale.steps * count * training.BATCH)


def finish(scale: Scale) -> None:
    """Wait for the GPU."""
    if scale.device == "cuda":
        torch.cuda.synchronize()


class Table:
    """The rows so far; a row that fails, or for which no time is left, says so and hides no other."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.begun = time.perf_counter()

    def add(self, row: Row) -> None:
        """Take a row, and tell it: what was found is not lost where the call is ended."""
        self.rows.append(row)
        print(
            *(text for text in (row.what, row.plain, row.ours, row.factor) if text),
            sep="  ",
            file=sys.stderr,
            flush=True,
        )

    def measure(self, what: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Return what the function returns from a process of its own, or None."""
        if time.perf_counter() - self.begun > LIMIT:
            self.add(Row(what, ours="not begun: no time left", n=0))
            return None
        try:
            return alone(function, *arguments, **keywords)[0]
        except Exception as error:  # whatever it is, the other rows are wanted
            self.add(Row(what, ours=f"failed: {' '.join(str(error).split())[:300]}"))
            return None

    def rate(self, what: str, *call: Any, plain: float | None = None, **keywords: Any) -> float | None:
        """Add a row of images a second, of a function that returns seconds an image."""
        seconds = self.measure(what, *call, **keywords)
        if seconds:
            texts = [f"{1 / value:,.0f} images/s" if value else "" for value in (plain, seconds)]
            self.add(Row(what, *texts, f"{plain / seconds:.3g} x" if plain else ""))
        return seconds


def of_training(found: Table, scale: Scale) -> None:
    """Add VGG11's trainings: large, small, and several at once."""
    size, steps, device = scale.large, scale.steps, scale.device
    speed = found.measure("bfloat16 matrix rate", matrix_rate, scale)
    if speed:
        found.add(Row("bfloat16 matrix rate", ours=f"{speed / 1e12:.3g} TFLOP/s"))
    plain = found.rate(f"train VGG11, {size} px, plain", training.plain, size, steps // 2, device)
    train = f"train VGG11, {size} px"
    for batch in (64, 256):
        for fused in (False, True):
            what = f"{train}, batch {batch}, bfloat16{', compiled' if fused else ''}"
            how = {"batch": batch, "compile": fused, "plain": plain}
            seconds = found.rate(what, training.ours, size, steps, "bfloat16", device, **how)
            if seconds and speed:
                share = FLOP * (size / 224) ** 2 / seconds / speed
                grid = f"{GRID * seconds / 3600:.1f} GPU-hours"
                found.add(Row(f"{what}: of the matrix rate", "", f"{share:.2f}", "", "≥ 0.5", share >= 0.5))
                found.add(Row(f"{what}: the published grid", "", grid))
    found.rate(f"{train}, float32", training.ours, size, steps, "float32", device, plain=plain)
    found.rate(f"{train}, bfloat16, deterministic", training.ours, size, steps, "bfloat16", device, deterministic=True)
    found.rate(f"{train}, bfloat16, streamed", training.ours, size, steps, "bfloat16", device, memory=1)
    small = (training.ours, 32, steps * 4, "bfloat16", device)
    plain = found.rate("train VGG11, 32 px, plain", training.plain, 32, steps, device)
    found.rate("train VGG11, 32 px, bfloat16", *small, plain=plain)
    found.rate("train VGG11, 32 px, bfloat16, compiled", *small, plain=plain, compile=True)
    for count in (1, 2, 4):
        found.rate(f"{count} trainings at once, 32 px: all of them", together, scale, count)
    found.rate("4 seeds stacked in one process, 32 px: all of them", stacked, scale, 4)


def of_kernels(found: Table, scale: Scale) -> None:
    """Add kernels of all pairs of images, and their AGOP."""
    for what, fused in product(("kernel", "AGOP of the kernel"), (False, True)):
        name = f"{what}, {scale.pairs:,} images, 32 px, depth 3, float32{', compiled' if fused else ''}"
        if measured := found.measure(name, of_kernel, scale, what, fused):
            seconds, memory = measured
            found.add(Row(name, ours=f"{seconds:.3g} s, {memory / 1e9:.3g} GB at most"))


def of_extraction(found: Table, scale: Scale) -> None:
    """Add the AGOP of networks."""
    for name in ("vgg11", "resnet50"):
        for classes, probes in ((10, None), (1000, 32)):
            what = f"AGOP of {name}, {scale.large} px, {classes} outputs, {f'{probes} probes' if probes else 'exact'}"
            for precision in ("float32", "bfloat16"):
                found.rate(f"{what}, {precision}", extraction, scale, name, classes, probes, precision)


PARTS = {"kernels": of_kernels, "training": of_training, "extraction": of_extraction}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all, if none is named")
    parser.add_argument("--try", action="store_true", dest="trial", help="a few images, on the CPU")
    arguments = parser.parse_args()
    scale = TRIAL if arguments.trial else GPU
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"{unknown.pop()} is none of {', '.join(PARTS)}")
    if scale is GPU and not torch.cuda.is_available():
        sys.exit("no GPU here; --try runs a few images on the CPU")
    name = torch.cuda.get_device_name() if scale is GPU else "CPU, a trial"
    found = Table()
    for part in arguments.parts or PARTS:
        PARTS[part](found, scale)
    text = f"{name}; {hardware()}. Each row in its own process, once.\n\n{table(found.rows)}"
    print(text)
    folder = Path(__file__).parents[2] / "results" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{'trial' if scale is TRIAL else 'gpu'}.md").write_text(text)
