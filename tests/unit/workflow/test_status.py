"""How far the runs of a configuration are, from files alone."""

import json
import os
import re
import time

import pytest
import yaml

from ansatz.workflow import status
from ansatz.workflow.configuration.loading import load
from ansatz.workflow.plan import Plan
from studies import all_sections

STUDY = "initialization/runs/digits"


@pytest.fixture
def plan(tmp_path):
    config = all_sections(
        initialization={
            "initializers": ["normal", "uniform", "kaiming_uniform", "kaiming_normal", "orthogonal", "nfm"],
            "seeds": [0, 1],
        }
    )
    return Plan(load(config, thorough=False), str(tmp_path / "results/test"))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def struck(plan, tmp_path):
    """Runs in all states."""
    results = tmp_path / "results/test"

    def log(run, text, rule="train"):
        write(results / "logs" / rule / STUDY / f"{run}.log", text)

    for run, outcome in (("normal/seed0", "finished"), ("normal/seed1", "diverged")):
        write(results / STUDY / run / "summary.json", json.dumps({"status": outcome, "seconds": 100}))
        log(run, "10:00:00 digits/normal: epoch 4/4: loss 1\n")
    log("uniform/seed0", "10:00:00 device: cpu\n10:00:01 digits: epoch 1/4: loss 2, accuracy 3%\n")
    log("uniform/seed1", "10:00:00 digits: epoch 3/4: loss 2\n10:00:02 error: disk: No space left on device\n")
    log("kaiming_uniform/seed0", "10:00:00 interrupted (SIGTERM); rerun the same command to resume\n")
    log("kaiming_uniform/seed1", "10:00:00 unexpected error\nTraceback (most recent call last):\n  a\nKeyError: 'x'\n")
    log("kaiming_normal/seed0", "10:00:00 error: out of memory\n10:01:00 device: cpu\n")  # it was started again
    log("kaiming_normal/seed1", "10:00:00 digits: epoch 2/4: loss 2\n")  # long ago
    log("orthogonal/seed0", "10:00:00 error: of another rule\n", rule="measure_activations")
    old = time.time() - 2 * status.SILENT
    os.utime(results / "logs/train" / STUDY / "kaiming_normal/seed1.log", (old, old))
    return plan


def test_runs_are_in_the_state_that_their_files_show(struck):
    runs = {run.place: run for run in status.runs_of(struck)}
    states = {place.removeprefix(f"{STUDY}/"): run.state for place, run in runs.items() if place.startswith(STUDY)}
    assert states == {
        "normal/seed0": "done",
        "normal/seed1": "diverged",
        "uniform/seed0": "running",
        "uniform/seed1": "failed",
        "kaiming_uniform/seed0": "failed",
        "kaiming_uniform/seed1": "failed",
        "kaiming_normal/seed0": "running",
        "kaiming_normal/seed1": "waiting",
    } | {f"{name}/seed{seed}": "waiting" for name in ("orthogonal", "nfm") for seed in (0, 1)}
    assert runs[f"{STUDY}/uniform/seed0"].progress == 0.25
    assert set(runs) == set(struck.trainings) | set(struck.machine_runs)


def test_the_text_counts_runs_and_shows_what_runs_and_what_has_failed(struck):
    lines = status.to_text(status.runs_of(struck)).splitlines()
    # of 100 s each: 0.75 + 1 that run, and 5 that wait, two of which is half of one done; two at once
    assert "initialization: 1 done, 1 diverged, 2 running, 3 failed, 5 waiting; about 5 min left" in lines
    assert "kernels: 2 waiting" in lines
    assert f"running: {STUDY}/uniform/seed0: 10:00:01 digits: epoch 1/4: loss 2, accuracy 3%" in lines
    assert f"failed: {STUDY}/uniform/seed1: error: disk: No space left on device" in lines
    assert f"failed: {STUDY}/kaiming_uniform/seed1: unexpected error: KeyError: 'x'" in lines
    assert sum(line.startswith("failed") for line in lines) == 3


def test_machines_are_done_when_they_have_scores(plan, tmp_path):
    place = next(iter(plan.machine_runs))
    write(tmp_path / "results/test" / place / "scores.csv", "accuracy\n1\n")
    assert {run.state for run in status.runs_of(plan) if run.place == place} == {"done"}


def test_failures_are_those_since_the_start(struck, tmp_path):
    logs = tmp_path / "results/test/logs"
    found = dict(status.failures(logs, since=time.time() - 60))
    assert found[f"train/{STUDY}/uniform/seed1"] == "error: disk: No space left on device"
    assert f"train/{STUDY}/kaiming_normal/seed0" not in found, "which went on"
    assert not list(status.failures(logs, since=time.time() + 60))


def test_it_is_called_with_a_configuration_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine.yaml", yaml.safe_dump(all_sections()))
    status.main(["mine.yaml"])
    assert "initialization: 2 waiting" in capsys.readouterr().out.splitlines()
    for name, text, line in (
        ("absent.yaml", None, "absent.yaml: is not there; name a configuration file"),
        (
            "twice.yaml",
            "name: a\nname: b\n",
            "twice.yaml, line 2: the key 'name' is already on line 1; keep one of them",
        ),
        ("wrong.yaml", "nam: a\n", "config: the key 'name' is missing"),
    ):
        if text:
            write(tmp_path / name, text)
        with pytest.raises(SystemExit, match=re.escape(line)):
            status.main([name])
