"""How far the runs of a configuration are, from files alone: ``python -m ansatz.workflow.status config/mine.yaml``.

It may be called while Snakemake runs, here or on a cluster.
"""

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import yaml

from ansatz.errors import UserError
from ansatz.workflow.configuration.loading import load
from ansatz.workflow.configuration.strict_yaml import check_yaml
from ansatz.workflow.plan import Plan

RULES = ("train", "tune", "train_source", "train_network", "follow_training", "run_machine")  # whose jobs are runs
STATES = ("done", "diverged", "running", "failed", "waiting")
ERROR = re.compile(r"^\d\d:\d\d:\d\d (error: .*|interrupted .*|unexpected error)$", re.MULTILINE)
EPOCH = re.compile(r"epoch (\d+)/(\d+)")
SILENT = 3600  # seconds without a line, after which a run no longer counts as running
TAIL = 4096  # bytes at the end of a log that are read


@dataclass(frozen=True)
class Run:
    """A training or a machine, and how far it is.

    Attributes
    ----------
    place : str
        Its place below the results.
    state : str
        One of `STATES`.
    line : str
        The last line of its log, or the error that ended it.
    progress : float
        The share of its epochs that are done.
    seconds : float
        How long it took, if it is done.
    """

    place: str
    state: str
    line: str = ""
    progress: float = 0.0
    seconds: float = 0.0

    @property
    def section(self) -> str:
        """The part of the results that it belongs to."""
        parts = self.place.split("/")
        return "initialization/tuning" if parts[:2] == ["initialization", "tuning"] else parts[0]


def runs_of(plan: Plan, now: float | None = None) -> list[Run]:
    """Return the runs of a plan, in order; `now` is the time by which a log counts as silent."""
    logs = _logs(Path(plan.results) / "logs")
    ends = dict.fromkeys(plan.needed_trainings, "summary.json") | dict.fromkeys(plan.machine_runs, "scores.csv")
    now = time.time() if now is None else now
    return [_run(place, Path(plan.results) / place / end, logs.get(place), now) for place, end in ends.items()]


def last_error(log: Path) -> str | None:
    """Return the error with which a log ends, in one line; None if it ends otherwise."""
    text = _tail(log)
    found = list(ERROR.finditer(text))
    if not found:
        return None
    error, rest = found[-1].group(1), text[found[-1].end() :].strip()
    if error.startswith("unexpected"):  # a traceback follows, whose last line says what it was
        return f"{error}: {rest.splitlines()[-1]}" if rest else error
    return None if rest else error  # a later job went on


def failures(logs: str | Path, since: float) -> Iterator[tuple[str, str]]:
    """Yield the name of each log that has ended with an error since then, and the error."""
    for path in sorted(Path(logs).rglob("*.log")):
        if path.stat().st_mtime >= since and (error := last_error(path)):
            yield str(path.relative_to(logs).with_suffix("")), error


def to_text(runs: Iterable[Run]) -> str:
    """Return a line for each section, and below them the last lines of what runs and of what has failed."""
    runs = list(runs)
    lines = []
    for section in dict.fromkeys(run.section for run in runs):
        own = [run for run in runs if run.section == section]
        counts = Counter(run.state for run in own)
        states = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        left = _seconds_left(own)
        lines.append(f"{section}: {states}" + (f"; about {_duration(left)} left" if left else ""))
    for state in ("running", "failed"):
        lines += [f"{state}: {run.place}: {run.line}" for run in runs if run.state == state]
    return "\n".join(lines)


def _logs(folder: Path) -> dict[str, Path]:
    """Return the logs of runs by the place that they belong to: ``logs/<rule>/<place>.log``."""
    return {
        str(path.relative_to(folder / rule).with_suffix("")): path
        for rule in RULES
        for path in (folder / rule).rglob("*.log")
    }


def _run(place: str, end: Path, log: Path | None, now: float) -> Run:
    if end.exists():
        return _ended(place, end)
    if log is None or not log.exists():
        return Run(place, "waiting")
    text = _tail(log).strip()
    line = text.splitlines()[-1] if text else ""
    epoch = EPOCH.search(line)
    progress = int(epoch[1]) / int(epoch[2]) if epoch else 0.0
    if error := last_error(log):
        return Run(place, "failed", error, progress)
    state = "running" if now - log.stat().st_mtime < SILENT else "waiting"
    return Run(place, state, line, progress)


def _ended(place: str, end: Path) -> Run:
    try:
        outcome = json.loads(end.read_text(encoding="utf-8")) if end.suffix == ".json" else {}
    except (OSError, ValueError):
        outcome = {}
    state = "diverged" if outcome.get("status") == "diverged" else "done"
    return Run(place, state, progress=1.0, seconds=float(outcome.get("seconds", 0)))


def _seconds_left(runs: list[Run]) -> float:
    """Return how long it takes until all have ended, if as many go on at once as now; 0 if that is not known."""
    took = [run.seconds for run in runs if run.seconds]
    at_once = sum(run.state == "running" for run in runs)
    if not took or not at_once:
        return 0.0
    return mean(took) * sum(1 - run.progress for run in runs if run.state in ("running", "waiting")) / at_once


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(1, minutes)} min"


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def main(arguments: list[str]) -> None:
    """Print the status of a configuration, by default that of ``config/config.yaml``."""
    file = Path(arguments[0] if arguments else "config/config.yaml")
    try:
        if not file.is_file():
            raise UserError(f"{file}: is not there; name a configuration file")
        check_yaml(file)
        configuration = load(yaml.safe_load(file.read_text(encoding="utf-8")) or {}, thorough=False)
    except UserError as error:
        sys.exit(str(error))
    print(to_text(runs_of(Plan(configuration, f"results/{configuration.name}"))))


if __name__ == "__main__":
    main(sys.argv[1:])
