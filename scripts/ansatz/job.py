"""What every script runs in: a log, and one line for a mistake."""

import errno
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ansatz.errors import UserError

LOG = logging.getLogger("ansatz")
MACHINE_FAULTS = {
    errno.EISDIR,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
}
TOO_SMALL = ("Output size is too small", "Kernel size can't be greater than actual input size")  # of torch's layers
NOT_DETERMINISTIC = "does not have a deterministic implementation"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # as torch says it, for a GPU and for the CPU


@contextmanager
def job(log: str | os.PathLike[str]) -> Iterator[logging.Logger]:
    """Run a script's body: log to the file `log` and to standard error, and end in one line on a mistake.

    Parameters
    ----------
    log : path
        The log file; lines are appended, as a resumed run goes on with its own.

    Yields
    ------
    logging.Logger
        Where the body says what it does.

    Raises
    ------
    SystemExit
        With status 1, after one line, on a `UserError` and on what a machine can refuse: a full disk, a missing
        permission, too little memory. With status 128 + signal, after one line, on Ctrl-C and on SIGTERM, which is how
        clusters announce a time limit or a preemption. Anything else is a bug and keeps its traceback, in the log too.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(log)]
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers, force=True)
    LOG.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is not to hide what is wrong
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        yield LOG
    except KeyboardInterrupt as interrupt:
        number = signal.Signals(*interrupt.args or [signal.SIGINT])
        LOG.error("interrupted (%s); the same command goes on from here", number.name)
        sys.exit(128 + number)
    except Exception as error:
        line = told(error)
        if line is None:
            LOG.exception("unexpected error")
            raise
        LOG.error("error: %s", " ".join(line.split()))
        sys.exit(1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: object) -> None:
    """Leave the body at once, from wherever it is; a second signal is not to disturb the leaving."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def told(error: Exception) -> str | None:
    """Return what to tell a user of an error, or None where it is a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in MACHINE_FAULTS:
        return f"{error.filename or 'disk'}: {error.strerror}"
    if NOT_DETERMINISTIC in str(error):
        return f"deterministic: true, but {str(error).partition(',')[0]}; set it to false"
    if any(words in str(error) for words in TOO_SMALL):
        return f"image_size: too small for the network ({str(error).partition(';')[0]})"
    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        return "out of memory: take a smaller batch_size, image_size, width, train or centres, or a machine with more"
    return None
