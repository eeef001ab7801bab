"""Compare a plain way with ours: in turn, each repetition in its own process."""

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
    """A row of the table; `met` says whether its target is met, if it has one."""

    what: str
    plain: str = ""
    ours: str = ""
    factor: str = ""
    target: str = ""
    met: bool | None = None
    n: int = 1


_before = 0  # peak memory when the measurement began


def mark() -> None:
    """Start to measure memory: what the function has built so far does not count."""
    global _before
    _before = _peak()


def alone(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[Any, int]:
    """Call a function in a fresh process; return its result and the bytes that it took beyond its `mark`."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_with_peak, partial(function, *arguments, **keywords)).result()


def _with_peak(call: Callable[[], Any]) -> tuple[Any, int]:
    import torch  # noqa: F401  its own memory does not count

    mark()
    return call(), _peak() - _before


def _peak() -> int:
    """Return the peak memory of the process in bytes; ru_maxrss would be that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@dataclass
class Way:
    """One of our ways: a call (function, *arguments) that returns seconds, and the speed-up it should reach."""

    name: str
    call: tuple
    target: float | None = None


def side_by_side(
    what: str, plain: tuple, *ways: Way, n: int, rate: str | None = None, memory: float | None = None
) -> list[Row]:
    """Time the plain call and each of our ways in turn, n times; return a row per way.

    With `rate`, such as "images/s", rates are shown instead of seconds. With `memory`, a second row compares the
    peak memory with that share of the plain way's.
    """
    rounds = [(alone(*plain), [alone(*way.call) for way in ways]) for _ in range(n)]
    rows = []
    for position, way in enumerate(ways):
        pairs = [(of_plain, of_ours[position]) for of_plain, of_ours in rounds]
        texts = [
            f"{spread([1 / run[0] if rate else run[0] for run in side])} {rate or 's'}"
            for side in zip(*pairs, strict=True)
        ]
        ratios = [a[0] / b[0] for a, b in pairs]
        met = None if way.target is None else statistics.median(ratios) >= way.target
        target = "" if way.target is None else f"{way.target:g} x"
        rows.append(Row(f"{what}, {way.name}", *texts, f"{spread(ratios)} x", target, met, n))
        if memory:
            peaks = [statistics.median(run[1] for run in side) for side in zip(*pairs, strict=True)]
            share = peaks[1] / peaks[0]
            texts = [f"{peak / 1e9:.2f} GB" for peak in peaks]
            limit = f"≤ {memory:g} x"
            rows.append(Row(f"{what}, {way.name}: peak memory", *texts, f"{share:.2f} x", limit, share <= memory, n))
    return rows


def spread(values: list[float]) -> str:
    """Return the median, the smallest and the largest value as text."""
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
    """Return the rows as a Markdown table."""
    lines = ["| | plain | ansatz | factor | target | n |", "|---|---|---|---|---|---|"]
    for row in rows:
        target = row.target if row.met is None else f"{row.target} {'✓' if row.met else '✗'}"
        lines.append(f"| {row.what} | {row.plain} | {row.ours} | {row.factor} | {target} | {row.n} |")
    return "\n".join(lines) + "\n"
