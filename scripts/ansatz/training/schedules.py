"""Schedules of the learning rate: the factor of the learning rate at a moment of the training.

Time is counted in epochs, and in fractions of them at each step. A schedule starts to act when the warm-up ends; its
keyword-only parameters are its hyperparameters.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any


def constant(_time: float, _start: float, _end: float) -> float:
    """Return 1."""
    return 1.0


def step(time: float, _start: float, _end: float, *, milestones: Sequence[int] = (), gamma: float = 0.1) -> float:
    """Return gamma to the power of the number of milestones, in epochs, that have passed."""
    return gamma ** sum(milestone <= time for milestone in milestones)


def cosine(time: float, start: float, end: float) -> float:
    """Return ``(1 + cos(π (time - start) / (end - start))) / 2``, and 1 before (Loshchilov and Hutter 2017)."""
    return (1 + math.cos(math.pi * max(0.0, time - start) / (end - start))) / 2


def warmed_up(step: int, steps: int) -> float:
    """Return ``(step + 1) / steps`` in a warm-up of so many steps (Goyal et al. 2017), and 1 afterwards."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


FACTORS: dict[str, Callable[..., float]] = {schedule.__name__: schedule for schedule in (constant, step, cosine)}


def hyperparameters(schedule: Callable[..., float]) -> dict[str, Any]:
    """Return the hyperparameters of a schedule, with their defaults."""
    parameters = inspect.signature(schedule).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
