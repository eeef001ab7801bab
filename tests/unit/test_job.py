"""What a script's user sees when something is wrong."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ansatz import registry
from ansatz.errors import UserError
from ansatz.job import STARTER, job
from real_data import ROOT


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("name: value\n  what would be right"), "error: name: value what would be right"),
        (OSError(errno.ENOSPC, "No space left on device", "x.csv"), "error: x.csv: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "x.csv"), "error: x.csv: Permission denied"),
        (MemoryError(), "error: out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "error: out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "error: out of memory"),
        (
            RuntimeError("cumsum_cuda does not have a deterministic implementation, but you set 'torch.use_d"),
            "error: deterministic: true, but cumsum_cuda does not have a deterministic implementation; set it to false",
        ),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, capsys, error, line):
    with pytest.raises(SystemExit) as caught, job(tmp_path / "log"):
        raise error
    assert caught.value.code == 1
    for text in (capsys.readouterr().err, (tmp_path / "log").read_text()):
        assert line in text
        assert len(text.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_not_reported_as_a_bug(tmp_path, capsys, number):
    previous = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, job(tmp_path / "log"):
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    assert capsys.readouterr().err.endswith(f"interrupted ({number.name}); rerun the same command to resume\n")
    assert signal.getsignal(number) is previous


@pytest.mark.parametrize("early", [True, False])
def test_a_job_whose_starter_is_killed_is_interrupted(tmp_path, capsys, monkeypatch, early):
    starter = subprocess.Popen(["sleep", "60"])
    monkeypatch.setenv(STARTER, str(starter.pid))
    if early:
        starter.kill()
        starter.wait()
    threading.Timer(0.1, starter.kill).start()
    with pytest.raises(SystemExit) as caught, job(tmp_path / "log"):
        time.sleep(60)
    starter.wait()
    assert caught.value.code == 128 + signal.SIGTERM
    assert "interrupted (SIGTERM)" in capsys.readouterr().err


def test_a_second_signal_does_not_disturb_cleaning_up(tmp_path):
    def leave():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as caught, job(tmp_path / "log"):
        leave()
    assert caught.value.code == 128 + signal.SIGTERM


def test_bugs_keep_their_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError), job(tmp_path / "log"):
        1 / 0  # noqa: B018
    assert "Traceback" in (tmp_path / "log").read_text()


def test_definitions_are_found_in_files_of_the_users(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_PLUGINS", [])
    plugin = tmp_path / "mine.py"
    plugin.write_text("from ansatz.registry import metric\n\n\n@metric\ndef mine(logits, labels):\n    return labels\n")
    with job(tmp_path / "log", definitions=[plugin]):
        assert registry.find("metric", "mine").object(None, 3) == 3


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("(logits, labels):\n    return labels[3]", "mine.py, line 6, in mine: IndexError: list index out of range"),
        (
            "(logits):\n    return logits",
            "mine.py: metric mine: TypeError: mine() takes 1 positional argument but 2 were",
        ),
    ],
)
def test_errors_of_files_of_the_users_end_in_one_line(tmp_path, capsys, monkeypatch, body, line):
    monkeypatch.setattr(registry, "_PLUGINS", [])
    monkeypatch.setattr(registry, "_REGISTERED", {})
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    plugin = tmp_path / "mine.py"
    plugin.write_text(f"from ansatz.registry import metric\n\n\n@metric\ndef mine{body}\n")
    with pytest.raises(SystemExit), job(tmp_path / "log", definitions=[plugin]):
        registry.find("metric", "mine").object([], [])
    error = capsys.readouterr().err
    assert line in error
    assert len(error.splitlines()) == 1


def test_a_plugin_that_leaves_python_is_reported(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(registry, "_PLUGINS", [])
    plugin = tmp_path / "leaves.py"
    plugin.write_text("import sys\nfrom ansatz.registry import metric\nsys.exit(3)\n@metric\ndef leaves(a, b): ...\n")
    with pytest.raises(SystemExit), job(tmp_path / "log", definitions=[plugin]):
        registry.find("metric", "leaves")
    assert "leaves.py cannot be imported: SystemExit: 3" in capsys.readouterr().err


def test_the_log_is_in_utf_8_in_every_locale(tmp_path):
    code = "from ansatz.job import job\nwith job('log') as log: log.info('caf\\xe9')"
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT / "scripts")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | locale, check=True)
    assert (tmp_path / "log").read_text(encoding="utf-8").endswith("caf\xe9\n")


def test_the_log_is_continued(tmp_path):
    for line in ("first", "second"):
        with job(tmp_path / "log") as log:
            log.info(line)
    assert [line.split(" ", 1)[1] for line in (tmp_path / "log").read_text().splitlines()] == ["first", "second"]
