"""How threads wait for each other: PyTorch's own way against the workflow's, alone and beside another program.

The difference is smaller than that between two starts of the same program. Two processes, one for each way, therefore
compute in turn. Beside the other program, so does the published way to compute AGOP.
"""

import copy
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
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
from benchmarks.features import case, published
from benchmarks.measure import Row, spread

Call = tuple[ProcessPoolExecutor, Callable[[], float]]


def rows() -> list[Row]:
    """Return the rows of the table."""
    with ExitStack() as stack:
        spinning, sleeping = stack.enter_context(process({})), stack.enter_context(process(WAITING))
        pytorchs, ours = (spinning, seconds), (sleeping, seconds)
        what = "AGOP of VGG11, 112 px, 2 images"
        alone = row(f"{what}: PyTorch's threads and those of the workflow's jobs", pytorchs, ours, 100, 0.97)
        other = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        stack.callback(other.kill)
        return [
            alone,
            row("the same beside a busy process", pytorchs, ours, 20, 1.3),
            row("the published way and ours beside a busy process", (spinning, published_seconds), ours, 3, 5),
        ]


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


def published_seconds() -> float:
    """Return how long it takes in the published way."""
    network, x = prepared()
    start = time.perf_counter()
    for _ in published(copy.deepcopy(network), x):
        pass
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


def row(what: str, plain: Call, ours: Call, n: int, target: float) -> Row:
    """Make each call in its process, one after the other, n times; every second time, the other way round."""
    pairs = []
    for turn in range(n):
        took = {call: call[0].submit(call[1]).result() for call in ((plain, ours) if turn % 2 else (ours, plain))}
        pairs.append((took[plain], took[ours]))
    texts = [f"{spread(list(side))} s" for side in zip(*pairs, strict=True)]
    ratios = [a / b for a, b in pairs]
    return Row(what, *texts, f"{spread(ratios)} x", f"{target:g} x", statistics.median(ratios) >= target, n)
