"""What the workflow itself takes: planning a grid, finding nothing to do, starting a job, gathering runs."""

import csv
import json
import tempfile
import time
from pathlib import Path

from ansatz import figures, statistics, store
from benchmarks.measure import Row, alone, spread
from clone import Clone, copy_repository
from real_data import ROOT

GRID = {
    "datasets": {"digits": None, "cifar10": None, "svhn": None, "mnist": None},
    "initializers": [
        *("normal", "uniform", "xavier_normal", "xavier_uniform", "kaiming_uniform", "kaiming_normal", "orthogonal"),
        *("nfm", "agop", "kaiming_nfm", "kaiming_agop"),
    ],
    "seeds": list(range(10)),
}
PUBLISHED = ROOT / "results/published/initialization_study.csv"
REPEATS = 3


def rows() -> list[Row]:
    """Return the table's part."""
    with tempfile.TemporaryDirectory() as folder:
        planned, started = (copy_repository(Path(folder, name)) for name in ("planned", "started"))
        return [*planning(planned), starting(started), *growth()]


def planning(clone: Clone) -> list[Row]:
    """Plan 440 runs, and plan them again when all is made."""
    clone.configure(**GRID)
    dry_run = [seconds(clone, "--dry-run") for _ in range(REPEATS)]
    summary = clone.snakemake("--summary").stdout
    for line in summary.partition("output_file")[2].splitlines()[1:]:
        path = clone.path / line.split("\t")[0]
        if path.name == "archives":
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("made up")
    clone.snakemake("--touch")
    assert clone.planned() == {}
    nothing = [seconds(clone) for _ in range(REPEATS)]
    return [
        against("plan a grid of 440 runs (dry run)", dry_run, 10),
        against("find nothing to be done on it", nothing, 10),
    ]


def starting(clone: Clone) -> Row:
    """Train one epoch on a few images: from the job's start to its end, less the epoch itself."""
    clone.configure(datasets={"digits": {"limit": 20}}, initializers=["normal"], source=None, training={"epochs": 1})
    fixed = []
    for _ in range(REPEATS):
        clone.snakemake("--forcerun", "train")
        records = [
            json.loads(path.read_text()) for path in (clone.path / ".snakemake/metadata").rglob("*") if path.is_file()
        ]
        job = next(record for record in records if record.get("rule") == "train")
        epoch = json.loads(next(clone.results.rglob("summary.json")).read_text())["seconds"]
        fixed.append(job["endtime"] - job["starttime"] - epoch)
    return against("fixed cost of a training job", fixed, 6)


def growth() -> list[Row]:
    """Gather more and more runs of 20 epochs, to the table and the figures."""
    found = []
    for count in (10, 100, 1000, 10000):
        took, peak = alone(gathering, count)
        row = against(f"gather, tabulate and draw {count:,} runs", [took], 30 if count == 10000 else None)
        row.ours += f", {peak / 1e6:.0f} MB"
        found.append(row)
    return found


def gathering(count: int) -> float:
    """Return the seconds from made-up runs' files to the table and the figures."""
    with tempfile.TemporaryDirectory() as folder:
        for run in range(count):
            made_up(Path(folder, str(run)), run)
        metrics = [Path(folder, str(run), "metrics.csv") for run in range(count)]
        summaries = [path.with_name("summary.json") for path in metrics]
        start = time.perf_counter()
        tidy, runs = store.gather(metrics, summaries)
        store.write_csv(Path(folder, "tidy.csv"), tidy)
        store.write_csv(Path(folder, "runs.csv"), runs)
        summary = statistics.with_published(statistics.summarize(runs), store.read_csv(PUBLISHED))
        store.write_text(Path(folder, "table.md"), statistics.to_markdown(summary))
        for name, draw in figures.CURVES.items():
            figures.save(draw(tidy), Path(folder, f"{name}.png"), Path(folder, f"{name}.svg"))
        return time.perf_counter() - start


def made_up(folder: Path, run: int) -> None:
    """Write a run's files."""
    folder.mkdir()
    with open(folder / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, store.METRICS)
        writer.writeheader()
        for epoch in range(1, 21):
            row = dict.fromkeys(store.METRICS, 1 / (run + epoch + 1))
            writer.writerow(row | {"epoch": epoch, "status": "ok"})
    initializers = GRID["initializers"]
    outcome = dict.fromkeys(store.OUTCOME, 1 / (run + 2)) | {"status": "finished", "epochs": 20, "device": "cpu"}
    of = {"dataset": "digits", "initializer": initializers[run % len(initializers)], "seed": run // len(initializers)}
    (folder / "summary.json").write_text(json.dumps(of | outcome))


def seconds(clone: Clone, *arguments: str) -> float:
    """Return how long a call of Snakemake takes."""
    start = time.perf_counter()
    clone.snakemake(*arguments)
    return time.perf_counter() - start


def against(what: str, values: list[float], target: float | None) -> Row:
    """Return a row of seconds and the most that they are to be."""
    met = None if target is None else sorted(values)[len(values) // 2] <= target
    return Row(what, "", f"{spread(values)} s", "", f"≤ {target} s" if target else "", met, len(values))
