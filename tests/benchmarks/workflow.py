"""The workflow's own time: planning a grid, finding nothing to do, starting a job, gathering runs."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from ansatz.files.atomic import read_json, write_text
from ansatz.files.results import write_results
from ansatz.files.runs import gather
from ansatz.files.tables import METRICS, OUTCOME, read_csv, write_csv
from ansatz.reporting import initialization, ranking, speed
from ansatz.reporting.figures import comparison
from ansatz.reporting.figures.catalogue import names
from ansatz.reporting.figures.curves import figure_of
from ansatz.reporting.figures.style import save
from benchmarks.measure import Row, alone, spread
from clone import copy_repository
from configurations import STUDY, configuration
from real_data import ROOT

INITIALIZERS = [
    *("normal", "uniform", "xavier_normal", "xavier_uniform", "kaiming_uniform", "kaiming_normal", "orthogonal"),
    *("nfm", "agop", "kaiming_nfm", "kaiming_agop"),
]
GRID = {
    "datasets": {"digits": None, "cifar10": None, "svhn": None, "mnist": None},
    "initialization": STUDY | {"initializers": INITIALIZERS, "seeds": list(range(10))},
}
ONE_TRAINING = {
    "datasets": {"digits": {"limit": 20}},
    "sources": None,
    "initialization": STUDY | {"initializers": ["normal"], "training": {"epochs": 1, "batch_size": 16}},
}
BASELINE = "kaiming_uniform"
PUBLISHED = ROOT / "results/published/initialization_study.csv"
REPEATS = 3


def rows() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        planned, started = (copy_repository(Path(folder, name)).path for name in ("planned", "started"))
        return [*planning(planned), starting(started), *growth()]


def snakemake(clone: Path, *arguments: str) -> str:
    """Run Snakemake in a clone of the repository, in a fresh process; return its output."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "config/test.yaml", *arguments]
    done = subprocess.run(command, cwd=clone, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout


def configure(clone: Path, **changes: Any) -> None:
    """Write the configuration of a clone."""
    (clone / "config/test.yaml").write_text(yaml.safe_dump(configuration(**changes)))


def planning(clone: Path) -> list[Row]:
    """Plan 440 trainings, and plan them again when everything is complete."""
    configure(clone, **GRID)
    dry_run = [seconds(clone, "--dry-run") for _ in range(REPEATS)]
    summary = snakemake(clone, "--summary")
    for line in summary.partition("output_file")[2].splitlines()[1:]:
        path = clone / line.split("\t")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made up")
    snakemake(clone, "--touch")
    assert "Job stats" not in snakemake(clone, "--dry-run")
    nothing = [seconds(clone) for _ in range(REPEATS)]
    return [
        against("plan a grid of 440 runs (dry run)", dry_run, 10),
        against("find nothing to be done on it", nothing, 10),
    ]


def starting(clone: Path) -> Row:
    """Train for one epoch on a few images: the time from the job's start to its end, less the epoch itself."""
    configure(clone, **ONE_TRAINING)
    fixed = []
    for _ in range(REPEATS):
        snakemake(clone, "--forcerun", "train")
        files = (path for path in (clone / ".snakemake/metadata").rglob("*") if path.is_file())
        job = next(record for record in map(read_json, files) if record.get("rule") == "train")
        epoch = read_json(next((clone / "results/test").rglob("summary.json")))["seconds"]
        fixed.append(job["endtime"] - job["starttime"] - epoch)
    return against("fixed cost of a training job", fixed, 6)


def growth() -> list[Row]:
    """Gather, tabulate and draw more and more runs of 20 epochs."""
    table = []
    for count in (10, 100, 1000, 10000):
        took, peak = alone(gathering, count)
        row = against(f"gather, tabulate and draw {count:,} runs", [took], 30 if count == 10000 else None)
        row.ours += f", {peak / 1e6:.0f} MB"
        table.append(row)
    return table


def gathering(count: int) -> float:
    """Return the seconds from the files of made-up runs to the table and the figures."""
    with tempfile.TemporaryDirectory() as folder:
        for run in range(count):
            made_up(Path(folder, str(run)), run)
        metrics = [Path(folder, str(run), "metrics.csv") for run in range(count)]
        summaries = [path.with_name("summary.json") for path in metrics]
        start = time.perf_counter()
        tidy, runs = gather(metrics, summaries)
        write_csv(Path(folder, "tidy.csv"), tidy)
        write_csv(Path(folder, "runs.csv"), runs)
        summary = initialization.summarize(runs, BASELINE)
        summary = initialization.with_published(summary, read_csv(PUBLISHED), [])
        tables = initialization.to_markdown(summary), ranking.to_markdown(ranking.rank(runs, BASELINE), BASELINE)
        write_text(Path(folder, "table.md"), "\n".join(tables))
        by_run = speed.by_run(tidy, BASELINE)
        write_text(Path(folder, "speed.md"), speed.to_markdown(by_run))
        for name, draw in {"differences": comparison.differences(summary), "speed": comparison.speed(by_run)}.items():
            save(draw, Path(folder, f"{name}.png"), Path(folder, f"{name}.svg"))
        for name in names("curves"):
            save(figure_of(name)(tidy), Path(folder, f"{name}.png"), Path(folder, f"{name}.svg"))
        return time.perf_counter() - start


def made_up(folder: Path, run: int) -> None:
    """Write the files of a run."""
    folder.mkdir()
    rows = [dict.fromkeys(METRICS, 1 / (run + epoch + 1)) | {"epoch": epoch, "status": "ok"} for epoch in range(1, 21)]
    outcome = dict.fromkeys(OUTCOME, 1 / (run + 2)) | {"status": "finished", "epochs": 20, "device": "cpu"}
    initializer, seed = INITIALIZERS[run % len(INITIALIZERS)], run // len(INITIALIZERS)
    of = {"dataset": "digits", "initializer": initializer, "seed": seed}
    write_results(folder / "metrics.csv", folder / "summary.json", rows, of | outcome)


def seconds(clone: Path, *arguments: str) -> float:
    """Return the seconds that a call of Snakemake takes."""
    start = time.perf_counter()
    snakemake(clone, *arguments)
    return time.perf_counter() - start


def against(what: str, values: list[float], target: float | None) -> Row:
    """Return a row of seconds, with a target that they should not exceed."""
    met = None if target is None else sorted(values)[len(values) // 2] <= target
    return Row(what, "", f"{spread(values)} s", "", f"≤ {target} s" if target else "", met, len(values))
