"""The same grid on a real Slurm, struck by what clusters do to jobs."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from clone import Clone

GRID = {
    "datasets": {"digits": {}},
    "initialization": {
        "initializers": ["nfm"],
        "seeds": [0, 1, 2],
        "network": {"width": 0.0625, "image_size": 32},  # so small that it is saved about every two seconds
        "training": {"epochs": 10, "batch_size": 16, "learning_rate": 0.01},
    },
}
ENOUGH = 3000  # MB, for a training and the snakemake around it
# The second attempt of one run gets too little memory; the first leaves it a checkpoint.
STARVED = "nfm/seed2"
# MB and time of the attempts: the second one of that run has too little.
TRAININGS = [(ENOUGH, "08:00:00"), (ENOUGH, "16:00:00"), (300, "16:00:00"), (ENOUGH, "1-00:00:00")]
MEMORY = f"300 if attempt == 2 and wildcards.training.endswith('{STARVED}') else {ENOUGH}"

# Snakemake, but for how often it asks for its jobs: by itself ten seconds later each time that none has ended.
ASKING_OFTEN = """
import asyncio
from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

async def sleep(executor):
    await asyncio.sleep(0.5)

RemoteExecutor.sleep = sleep
main()
"""
PROGRAM = (sys.executable, "-c", ASKING_OFTEN)
TABLES = [f"results/test/initialization/{table}.csv" for table in ("tidy", "activations")]  # figures need no cluster


def run_folder(clone, run):
    return clone.path / "results/test/initialization/runs/digits" / run


def log_of(clone, run):
    return (clone.path / "results/test/logs/train/initialization/runs/digits" / f"{run}.log").read_text()


def training_process(clone, run):
    """Return the pid of the process that trains: the one that has the run's log open."""
    log = clone.path / f"results/test/logs/train/initialization/runs/digits/{run}.log"
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(link.exists() and link.samefile(log) for link in folder.glob("fd/*")):
                return int(folder.name)
        except OSError:  # it has ended meanwhile, or is not ours
            continue
    raise AssertionError(f"nothing trains {run}")


def slurm_id(cluster, run):
    """Return the id of the job that runs now."""
    wanted = f"rule_train_wildcards_{f'initialization/runs/digits/{run}'.replace('/', '_')}"
    (found,) = [
        number
        for number, job in cluster.jobs().items()
        if job["JobState"] == "RUNNING" and job.get("Comment") == wanted
    ]
    return found


def terminate(cluster, clone, run):
    """As Slurm does before a preemption."""
    cluster.asked("scancel", "--signal=TERM", str(slurm_id(cluster, run)))


def kill(_cluster, clone, run):
    """With a checkpoint that is half written; afterwards, as the training may be writing one itself."""
    os.kill(training_process(clone, run), signal.SIGKILL)
    (run_folder(clone, run) / ".checkpoint.pt.partial").write_bytes(b"half of a checkpoint")


def exhaust_time(cluster, clone, run):
    """As a training that hangs: it is still there when its time is over, and does not answer to SIGTERM."""
    os.kill(training_process(clone, run), signal.SIGSTOP)
    cluster.asked("scontrol", "update", f"JobId={slurm_id(cluster, run)}", "EndTime=now+1seconds")


FAULTS = {
    "nfm/seed0": exhaust_time,
    "nfm/seed1": terminate,
    STARVED: kill,
}


@dataclass
class Struck:
    """A grid that is done, what was printed meanwhile, and Slurm's jobs."""

    clone: Clone
    output: str
    jobs: list


@pytest.fixture(scope="module")
def struck(cluster, make_clone):
    """A grid each of whose trainings met a fault after its first checkpoint."""
    clone = make_clone("struck", settings={"set-resources": {"train": {"mem_mb": MEMORY}}}, **GRID)
    process, waiting = clone.start(*TABLES, "--profile", "slurm", program=PROGRAM), dict(FAULTS)
    while process.poll() is None:
        for run in list(waiting):
            if (run_folder(clone, run) / "checkpoint.pt").exists():
                waiting.pop(run)(cluster, clone, run)
        time.sleep(0.02)
    assert not waiting, clone.output
    assert process.returncode == 0, clone.output
    return Struck(clone, clone.output, list(cluster.jobs().values()))


def test_each_training_went_on_from_its_checkpoint(struck):
    for run in FAULTS:
        assert "resuming after" in log_of(struck.clone, run), run
        results = {path.name for path in run_folder(struck.clone, run).iterdir()}
        assert results - {"activations.csv"} == {"metrics.csv", "summary.json"}  # which is measured for the first seed


def test_what_took_too_much_memory_says_so_in_slurms_log(struck):
    folder = f"initialization_runs_digits_{STARVED.replace('/', '_')}"
    logs = struck.clone.path.glob(f".snakemake/slurm_logs/rule_train/{folder}/*.log")
    assert any("exceeded memory limit" in log.read_text() for log in logs)


@pytest.mark.parametrize(
    "line",
    [
        "interrupted (SIGTERM); rerun the same command to resume",
        "SLURM status is: 'TIMEOUT'",
        "Results are in results/test/, logs in results/test/logs/",
    ],
)
def test_what_happened_is_told(struck, line):
    assert line in struck.output


def test_numbers_are_those_of_an_undisturbed_run(struck, make_clone):
    undisturbed = make_clone("undisturbed", **GRID)
    undisturbed.snakemake(TABLES[0], "--resources", "gpu=2", config=None)
    assert (undisturbed.results / "initialization/tidy.csv").read_bytes() == (
        struck.clone.results / "initialization/tidy.csv"
    ).read_bytes()


def test_nothing_is_to_be_done_afterwards(struck):
    assert struck.clone.planned(*TABLES, "--profile", "slurm", config=None) == {}


def test_slurm_is_asked_for_what_the_rules_say(struck):
    asked = {}
    for job in sorted(struck.jobs, key=lambda job: int(job["JobId"])):
        rule = job["Comment"].removeprefix("rule_").partition("_wildcards")[0]
        if job["JobState"] != "TIMEOUT":  # whose limit the test moved
            asked.setdefault(rule, []).append(
                tuple(map(job.get, ("NumCPUs", "MinMemoryNode", "TimeLimit", "TresPerJob")))
            )
    assert asked["prepare_dataset"] == [("1", "3000M", "01:00:00", None)]
    assert asked["train_source"] == [("1", "8191M", "08:00:00", "gres:gpu:1")]
    assert asked["extract_features"] == [("1", "8148M", "02:00:00", "gres:gpu:1")]
    assert asked["measure_activations"] == [("1", "8191M", "01:00:00", "gres:gpu:1")]
    attempts = {("1", f"{memory}M", hours, "gres:gpu:1") for memory, hours in TRAININGS}
    assert set(asked.pop("train")) == attempts
    # the rest needs no node
    assert set(asked) == {"prepare_dataset", "train_source", "extract_features", "measure_activations"}


def test_trainings_share_a_submission_for_each_gpu(cluster, make_clone):
    together = {"groups": ["train=training"], "group-components": ["training=2"]}
    together["set-resources"] = {"train": {"runtime": 30}}  # minutes; they add up
    study = {"initializers": ["normal"], "seeds": list(range(4))}
    clone = make_clone("grouped", settings=together, initialization=study, sources=None)
    before = set(cluster.jobs())
    assert clone.start(*TABLES, "--profile", "slurm", program=PROGRAM).wait() == 0, clone.output
    assert len(list(clone.results.glob("initialization/runs/*/*/*/metrics.csv"))) == 4
    submitted = [job for number, job in cluster.jobs().items() if number not in before]
    submitted = [job for job in submitted if job["JobState"] == "COMPLETED"]  # not those that were tried again
    requests = sorted((job.get("TresPerJob", ""), job["TimeLimit"]) for job in submitted)
    two = ("gres:gpu:1", "01:00:00")  # one GPU and the sum of their times: one after the other
    measurement = ("gres:gpu:1", "01:00:00")  # of the activations, which takes no place among the trainings
    assert requests == [("", "01:00:00"), *sorted([two, two, measurement])]
