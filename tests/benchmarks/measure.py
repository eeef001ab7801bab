"""Two ways side by side: each repetition in a process of its own, the plain way and ours in turn."""

import multiprocessing
import platform
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any


@dataclass
class Row:
    """A line of the table; `met` says whether the target is, where there is one."""

    what: str
    plain: str = ""
    ours: str = ""
    factor: str = ""
    target: str = ""
    met: bool | None = None
    n: int = 1


_before = 0  # the peak when what is compared began


def mark() -> None:
    """Count memory from here: what a function has built so far is not what is compared."""
    global _before
    _before = _peak()


def alone(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[Any, int]:
    """Call a function in a fresh process; return what it returned, and the bytes that it took beyond its `mark`."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_with_peak, partial(function, *arguments, **keywords)).result()


def _with_peak(call: Callable[[], Any]) -> tuple[Any, int]:
    import torch  # noqa: F401  its own memory is not what is compared

    mark()
    return call(), _peak() - _before


def _peak() -> int:
    """Bytes of the process at most so far; not ru_maxrss, which a spawned process has from its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@dataclass
class Way:
    """One of our ways: a call, (function, *arguments) that returns seconds, and how much faster it is to be."""

    name: str
    call: tuple
    target: float | None = None


def side_by_side(
    what: str, plain: tuple, *ways: Way, n: int, rate: str | None = None, memory: float | None = None
) -> list[Row]:
    """Time the plain call and each of our ways in turn, n times over; a line a way.

    With `rate` such as "images/s" the pieces a second are shown. With `memory` a second line compares the peaks.
    """
    rounds = [(alone(*plain), [alone(*way.call) for way in ways]) for _ in range(n)]
    found = []
    for position, way in enumerate(ways):
        pairs = [(of_plain, of_ours[position]) for of_plain, of_ours in rounds]
        texts = [
            f"{spread([1 / run[0] if rate else run[0] for run in side])} {rate or 's'}"
            for side in zip(*pairs, strict=True)
        ]
        ratios = [a[0] / b[0] for a, b in pairs]
        met = None if way.target is None else statistics.median(ratios) >= way.target
        target = "" if way.target is None else f"{way.target:g} x"
        found.append(Row(f"{what}, {way.name}", *texts, f"{spread(ratios)} x", target, met, n))
        if memory:
            peaks = [statistics.median(run[1] for run in side) for side in zip(*pairs, strict=True)]
            share = peaks[1] / peaks[0]
            texts = [f"{peak / 1e9:.2f} GB" for peak in peaks]
            limit = f"≤ {memory:g} x"
            found.append(Row(f"{what}, {way.name}: peak memory", *texts, f"{share:.2f} x", limit, share <= memory, n))
    return found


def spread(values: list[float]) -> str:
    """Median, and the smallest and the largest."""
    middle = _rounded(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_rounded(min(values))}–{_rounded(max(values))})"


def _rounded(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def hardware() -> str:
    """Describe the machine and the versions."""
    import torch

    model = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "torchvision", "numpy"))
    return f"{model}, {torch.get_num_threads()} threads; Python {platform.python_version()}, {versions}"


def table(rows: list[Row]) -> str:
    """Return the rows in Markdown."""
    lines = ["| | plain | ansatz | factor | target | n |", "|---|---|---|---|---|---|"]
    for row in rows:
        target = row.target if row.met is None else f"{row.target} {'✓' if row.met else '✗'}"
        lines.append(f"| {row.what} | {row.plain} | {row.ours} | {row.factor} | {target} | {row.n} |")
    return "\n".join(lines) + "\n"
