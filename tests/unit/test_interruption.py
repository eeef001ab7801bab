"""Signals wait until a piece of work is complete."""

import signal
import threading

import pytest

from ansatz.interruption import SIGNALS, uninterrupted


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_takes_effect_when_the_work_is_complete(number):
    arrived, work = [], []
    previous = signal.signal(number, lambda number, _frame: arrived.append((number, *work)))
    try:
        with uninterrupted():
            signal.raise_signal(number)
            work.append("complete")
            assert not arrived
        assert arrived == [(number, "complete")]
        signal.raise_signal(number)
        assert len(arrived) == 2, "afterwards, signals take effect at once"
    finally:
        signal.signal(number, previous)


def test_an_error_in_the_work_is_not_replaced_by_the_interruption():
    with pytest.raises(ZeroDivisionError), uninterrupted():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        1 / 0  # noqa: B018


def test_what_the_system_does_with_a_signal_is_left_alone():
    previous = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with uninterrupted():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_other_threads_are_never_interrupted():
    errors = []

    def work():
        try:
            with uninterrupted():
                pass
        except ValueError as error:  # of signal.signal in such a thread
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
