"""The signals that interrupt a job, and work that they must not cut in half."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let SIGINT and SIGTERM take effect only when the body is complete.

    This holds back signals that Python handles, as they raise a KeyboardInterrupt at any line. A signal with the
    system's default action ends the process at once, as ever. If the body raises an error, it is that error which ends
    the job.
    """
    pending: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()  # the only one that signals interrupt
    handlers = {number: handler for number in SIGNALS if in_main and callable(handler := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, lambda number, _frame: pending.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if pending:
        signal.raise_signal(pending[0])
