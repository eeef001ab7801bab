"""Exports hold what tidy.csv does, whatever the tracker; nothing is sent, and nothing half-written stays."""

import json
import math
import os
import socketserver
import subprocess
import sys
import threading
import tomllib

import pytest

from ansatz import registry
from ansatz.export.__main__ import export, main
from ansatz.export.study import flattened, read_study
from ansatz.files.results import write_results
from ansatz.files.runs import gather
from ansatz.files.tables import METRICS, RUN, read_csv, write_csv
from ansatz.provenance import provenance
from real_data import ROOT

TRACKERS = ("mlflow", "tensorboard", "wandb")
RUNS = "initialization/runs"
SINGLE = 2**-23  # relative precision of the numbers in TensorBoard's files


def training(results, place, run, losses, **further):
    """Write the results of a training with these validation losses."""
    rows = [
        dict.fromkeys(METRICS, 1 / (3 + epoch))
        | {"epoch": epoch, "status": "ok" if math.isfinite(loss) else "diverged", "validation_loss": loss}
        | {"seconds": 0.7, "images_per_second": 1438 / 0.7, **further}
        for epoch, loss in enumerate(losses, 1)
    ]
    summary = {
        **run,
        "status": "finished" if math.isfinite(losses[-1]) else "diverged",
        "epochs": len(losses),
        "best_epoch": 1,
        "best_validation_accuracy": 1 / 7,
        "test_accuracy": None,
        "test_loss": 2.5,
        "seconds": 0.7 * len(losses),
        "device": "cpu",
        **provenance(
            run=run,
            start={"network": {"name": "vgg11", "width": 0.5}, "initializer": {"name": "nfm", "options": {}}},
            training={"learning_rate": 0.01, "momentum": None, "milestones": [3, 5], "augment": {"kind": "flip"}},
            title="a title",
            checkpoint=f"{place}/checkpoint.pt",
        ),
    }
    (results / place).mkdir(parents=True)
    write_results(results / place / "metrics.csv", results / place / "summary.json", rows, summary)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three runs of a study with its tidy.csv, one of which diverged, and a network of `ansatz`."""
    results = tmp_path_factory.mktemp("results") / "digits"
    names = {"nfm@imagenet+lsuv": [2.5, 1 / 3], "normal_std-0.02": [2.25, math.nan], "kaiming_normal": [math.pi]}
    for seed, (initializer, losses) in enumerate(names.items()):
        run = {"dataset": "digits", "initializer": initializer, "seed": seed}
        further = {"validation_top5": 0.5} if seed == 0 else {}
        training(results, f"{RUNS}/digits/{initializer}/seed{seed}", run, losses, **further)
    tidy, _ = gather(*([*sorted(results.rglob(name))] for name in ("metrics.csv", "summary.json")))
    write_csv(results / "initialization/tidy.csv", tidy)
    run = {"experiment": "lenet", "variant": "lenet5", "dataset": "digits", "seed": 0}
    training(results, "ansatz/lenet/lenet5/digits/seed0", run, [0.5, 0.25, 0.125])
    return results


@pytest.fixture(scope="module")
def calls():
    """The address of what takes every call to the network, and the list of these calls."""
    calls = []

    class Taken(socketserver.StreamRequestHandler):
        def handle(self):
            calls.append(self.rfile.readline())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Taken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", calls
        server.shutdown()


@pytest.fixture(scope="module", params=TRACKERS)
def exported(request, results, calls):
    """What a tracker reads of the export that the command wrote, for a user who asks it to send all it can."""
    pytest.importorskip(request.param, reason=f"the extra {request.param} is not installed")
    address, made = calls
    testing = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "NO_PROXY", "no_proxy")  # where MLflow sends nothing
    environment = {name: value for name, value in os.environ.items() if name not in testing}
    environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), address)
    environment |= {"WANDB_MODE": "online", "WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40}
    environment |= {"PYTHONPATH": f"{ROOT / 'scripts'}"}
    command = [sys.executable, str(ROOT / "tests/exported.py"), str(results), "--to", request.param]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, read = done.stdout.splitlines()
    assert said.startswith(f"{results}/export/{request.param}: 4 runs; to see them: {request.param} ")
    assert done.stderr == ""
    assert made == []
    return json.loads(read)


def test_every_exporter_is_tested_and_has_an_extra_of_its_name():
    assert tuple(registry.definitions("exporter")) == TRACKERS
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(TRACKERS) <= set(project["optional-dependencies"])


def test_a_tracker_reads_the_numbers_of_tidy_csv(exported, results):
    tidy = read_csv(results / "initialization/tidy.csv")
    read = {}
    for name, run in exported.items():
        if name.startswith(RUNS):
            dataset, initializer, seed = name.removeprefix(f"{RUNS}/").split("/")
            for metric, by_epoch in run["metrics"].items():
                for epoch, value in by_epoch.items():
                    read[dataset, initializer, int(seed.removeprefix("seed")), int(epoch), metric] = value
    expected = tidy.drop(columns="status").melt([*RUN, "epoch"]).dropna()
    expected = {tuple(row[:-1]): row[-1] for row in expected.itertuples(index=False)}
    clocks = {key for key in read if key[-1] in ("seconds", "images_per_second")}
    assert len(clocks) == 2 * len(tidy)
    assert len(expected) > 40
    assert {key: value for key, value in read.items() if key not in clocks} == pytest.approx(expected, rel=SINGLE)


def test_a_tracker_reads_parameters_outcome_and_provenance(exported, results):
    assert set(exported) == {run.place for run in read_study(results).runs}
    run = exported[f"{RUNS}/digits/normal_std-0.02/seed1"]
    parameters = {name: str(value) for name, value in run["parameters"].items()}
    expected = {"dataset": "digits", "initializer": "normal_std-0.02", "start.network.width": "0.5"}
    expected |= {"training.learning_rate": "0.01", "training.milestones": "[3, 5]", "training.augment.kind": "flip"}
    expected |= {"status": "diverged", "device": "cpu"}
    assert {name: parameters[name] for name in expected} == expected
    assert float(parameters["seed"] or 0) == 1
    made = provenance()
    assert parameters["commit"] == made["commit"]
    assert parameters["versions.torch"] == made["versions"]["torch"]
    assert not {"checkpoint", "title", "training.momentum"} & set(parameters)
    outcome = {"epochs": 2, "best_epoch": 1, "best_validation_accuracy": 1 / 7, "test_loss": 2.5, "seconds": 1.4}
    assert run["outcome"] == pytest.approx({f"outcome/{name}": value for name, value in outcome.items()}, rel=SINGLE)
    assert len(exported["ansatz/lenet/lenet5/digits/seed0"]["metrics"]["train_loss"]) == 3


# ------------------------------------------------------------------------------------------------- what is read
def test_epochs_end_one_after_the_other_up_to_when_the_results_were_written(results):
    os.utime(results / f"{RUNS}/digits/nfm@imagenet+lsuv/seed0/summary.json", (1e9, 1e9))
    run = next(run for run in read_study(results).runs if "nfm@" in run.place)
    assert [run.started, *(epoch.ended for epoch in run.epochs)] == pytest.approx([1e9 - 1.4, 1e9 - 0.7, 1e9])
    assert run.group == f"{RUNS}/digits/nfm@imagenet+lsuv"


def test_nested_parameters_are_joined_by_dots():
    tree = {"a": {"b": 1, "c": {}, "d": None, "e": {"f": "x"}}, "g": [1, {"h": 2}], "i": False}
    assert flattened(tree) == {"a.b": 1, "a.e.f": "x", "g": '[1, {"h": 2}]', "i": False}


# ------------------------------------------------------------------------------------------------- refused
def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main([*map(str, arguments)])
    assert capsys.readouterr().out == ""
    line = caught.value.code
    assert "\n" not in line
    return line


def test_what_cannot_be_exported_is_refused_in_one_line(tmp_path, capsys):
    line = "holds no training that has ended (a summary.json); name a folder of results, such as results/digits"
    assert refusal(capsys, tmp_path, "--to", "mlflow") == f"{tmp_path}: {line}"
    assert refusal(capsys, tmp_path / "x", "--to", "mlflow").startswith(f"{tmp_path}/x: is no folder; name a folder")
    assert "'mlfow' is none of mlflow, tensorboard, wandb; did you mean" in refusal(capsys, tmp_path, "--to", "mlfow")
    training(tmp_path, "sources/a", {"dataset": "a", "seed": 0}, [0.5])
    table = tmp_path / "sources/a/metrics.csv"
    table.write_text(table.read_text().replace("ok,", "ok,9"))
    assert "metrics.csv: it or summary.json has changed" in refusal(capsys, tmp_path, "--to", "mlflow")
    table.unlink()
    assert "metrics.csv: cannot be read (FileNotFoundError)" in refusal(capsys, tmp_path, "--to", "mlflow")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(results, capsys, monkeypatch, tracker):
    monkeypatch.setitem(sys.modules, tracker, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    line = f"--to {tracker}: takes {tracker}, which is not installed: pip install '.[{tracker}]'"
    assert refusal(capsys, results, "--to", tracker) == line


# ------------------------------------------------------------------------------------------------- whole or not at all
EXPORTER = """
from ansatz.registry import exporter


@exporter(view="ls {folder}")
def lines(study, folder):
    for number, run in enumerate(study.runs):
        (folder / str(number)).write_text(run.place)
        if (folder.parents[1] / "fail").exists():
            raise KeyboardInterrupt
"""


def test_an_exporter_of_ones_own_writes_all_or_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(registry, "_PLUGINS", [])
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))
    results, plugin = tmp_path / "my results", tmp_path / "my_exporters.py"
    plugin.write_text(EXPORTER)
    for seed in range(2):
        training(results, f"sources/a/seed{seed}", {"dataset": "a", "seed": seed}, [0.5])
    arguments = [str(results), "--to", "lines", "--plugins", str(plugin)]
    main(arguments)
    assert capsys.readouterr().out == f"{results}/export/lines: 2 runs; to see them: ls '{results}/export/lines'\n"
    training(results, "sources/a/seed2", {"dataset": "a", "seed": 2}, [0.5])
    (results / "fail").touch()
    with pytest.raises(KeyboardInterrupt):
        export(results, "lines")
    written = {path.relative_to(results / "export").as_posix() for path in (results / "export").rglob("*")}
    assert written == {"lines", "lines/0", "lines/1"}
    (results / "fail").unlink()
    export(results, "lines")
    assert (results / "export/lines/2").read_text() == "sources/a/seed2"
