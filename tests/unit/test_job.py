"""What a script's user sees when something is wrong."""

import errno
import signal

import pytest

from ansatz.errors import UserError
from ansatz.job import job


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("name: value\n  what would be right"), "error: name: value what would be right"),
        (OSError(errno.ENOSPC, "No space left on device", "x.csv"), "error: x.csv: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "x.csv"), "error: x.csv: Permission denied"),
        (MemoryError(), "error: out of memory"),
        (
            RuntimeError("Given input size: (256x1x1). Calculated output size: (256x0x0). Output size is too small"),
            "error: image_size: too small for the network (Given input size: (256x1x1)",
        ),
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
    for told in (capsys.readouterr().err, (tmp_path / "log").read_text()):
        assert line in told
        assert len(told.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_no_bug(tmp_path, capsys, number):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, job(tmp_path / "log"):
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    assert capsys.readouterr().err.endswith(f"interrupted ({number.name}); the same command goes on from here\n")
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_disturb_the_leaving(tmp_path):
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


def test_the_log_goes_on(tmp_path):
    for line in ("first", "second"):
        with job(tmp_path / "log") as log:
            log.info(line)
    assert [line.split(" ", 1)[1] for line in (tmp_path / "log").read_text().splitlines()] == ["first", "second"]
