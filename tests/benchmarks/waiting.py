"""How threads wait for each other: PyTorch's own way against the workflow's, alone and beside another program.

The difference is smaller than that between two starts of the same program. Two processes, one for each way, therefore
compute in turn.
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from unittest.mock import patch

import torch
from torch import nn

from ansatz.devices import take_device
from ansatz.features.agop import agop
from ansatz.networks.maps import CONVOLUTIONS
from ansatz.workflow.environment import CHOICES, WAITING
from benchmarks.features import case
from benchmarks.measure import Row, spread


def rows() -> list[Row]:
    """Return the rows of the table."""
    with ExitStack() as stack:
        spinning, sleeping = stack.enter_context(process({})), stack.enter_context(process(WAITING))
        what = "AGOP of VGG11, 112 px, 2 images"
        alone = row(f"{what}: PyTorch's threads and those of the workflow's jobs", spinning, sleeping, 100, 0.97)
        other = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        stack.callback(other.kill)
        return [alone, row("the same beside a busy process", spinning, sleeping, 20, 1.3)]


@cache
def prepared() -> tuple[nn.Module, torch.Tensor]:
    """Return the network and the images."""
    take_device("cpu", os.cpu_count() or 1)
    return case(10, 112, 2)


def seconds() -> float:
    """Return how long an AGOP takes."""
    network, x = prepared()
    start = time.perf_counter()
    agop(network, [x], layers=CONVOLUTIONS)
    return time.perf_counter() - start


def process(variables: dict[str, str]) -> ProcessPoolExecutor:
    """Start a process with these variables, which PyTorch reads when it is imported, and compute once."""
    started = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with patch.dict(os.environ):  # other parts are measured in the environment as it was
        for name in CHOICES:
            os.environ.pop(name, None)
        os.environ.update(variables)
        started.submit(seconds).result()
    return started


def row(what: str, spinning: ProcessPoolExecutor, sleeping: ProcessPoolExecutor, n: int, target: float) -> Row:
    """Compute in one process, then in the other, n times, and the other way round every second time."""
    pairs = []
    for turn in range(n):
        first, second = (spinning, sleeping) if turn % 2 else (sleeping, spinning)
        took = {process: process.submit(seconds).result() for process in (first, second)}
        pairs.append((took[spinning], took[sleeping]))
    texts = [f"{spread(list(side))} s" for side in zip(*pairs, strict=True)]
    ratios = [a / b for a, b in pairs]
    return Row(what, *texts, f"{spread(ratios)} x", f"{target:g} x", statistics.median(ratios) >= target, n)
