"""The context that every script runs in: it logs, and reports mistakes in one line."""

import errno
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ansatz import registry
from ansatz.errors import UserError
from ansatz.interruption import SIGNALS

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
NOT_DETERMINISTIC = "does not have a deterministic implementation"
STARTER = "ANSATZ_STARTER"  # the variable with the id of the process without which a job does not go on
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # torch's messages for a GPU and for the CPU


@contextmanager
def job(log: str | os.PathLike[str], *, definitions: Iterable[str | os.PathLike[str]] = ()) -> Iterator[logging.Logger]:
    """Run the body of a script: log to a file and to standard error, and report mistakes in one line.

    Parameters
    ----------
    log : path
        The log file. Lines are appended, so that a resumed run keeps its log.
    definitions : iterable of path
        Files that define names which the body looks up in the registry; the library is searched anyway.

    Yields
    ------
    logging.Logger
        The logger for the body's own messages.

    Raises
    ------
    SystemExit
        With status 1, after one line, on a `UserError` and on faults of the machine: a full disk, a missing permission,
        too little memory; and on whatever a file of the user's raises. With status 128 + signal, after one line, on
        Ctrl-C and on SIGTERM, with which clusters announce a time limit or a preemption; also when the process that
        started the job is killed, so that no orphan writes results. Any other exception is a bug; its traceback is
        logged.
    """
    file = logging.FileHandler(log, encoding="utf-8", errors="backslashreplace")  # for names that are not UTF-8
    handlers: list[logging.Handler] = [logging.StreamHandler(), file]
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers, force=True)
    LOG.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a log that cannot be written must not hide the error: the disk is full
    previous = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        if starter := os.environ.get(STARTER):
            threading.Thread(target=_interrupt_without, args=[int(starter)], daemon=True).start()
        registry.use(definitions)
        yield LOG
    except KeyboardInterrupt as interrupt:
        number = signal.Signals(*interrupt.args or [signal.SIGINT])
        LOG.error("interrupted (%s); rerun the same command to resume", number.name)
        sys.exit(128 + number)
    except Exception as error:
        line = one_line(error)
        if line is None:
            LOG.exception("unexpected error")
            raise
        LOG.error("error: %s", " ".join(line.split()))
        sys.exit(1)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: object) -> None:
    """Leave the body at once; further signals are ignored, so that it can clean up."""
    for handled in SIGNALS:
        signal.signal(handled, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def _interrupt_without(starter: int) -> None:
    """Interrupt this process when another ends, even one that is killed: a later run may need the files of this job.

    Linux sends such a signal (PR_SET_PDEATHSIG) only if the immediate parent ends, which may be a shell.
    """
    try:
        watched = os.pidfd_open(starter)
    except ProcessLookupError:
        pass  # it has ended already
    except (AttributeError, OSError):
        return  # not Linux, or older than 5.3
    else:
        ends = select.poll()
        ends.register(watched, select.POLLIN)
        ends.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def one_line(error: Exception) -> str | None:
    """Return the line that reports an error to the user, or None if it is a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in MACHINE_FAULTS:
        return f"{error.filename or 'disk'}: {error.strerror}"
    if NOT_DETERMINISTIC in str(error):
        return f"deterministic: true, but {str(error).partition(',')[0]}; set it to false"
    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        return (
            "out of memory: reduce batch_size, image_size, width, train or centres, or use a machine with more memory"
        )
    return registry.blamed(error)
