"""Work in a thread of its own."""

import threading

import pytest

from ugatit_jax.common import background
from ugatit_jax.common.background import Background


def test_runs_beside_its_caller_and_once():
    callers_turn, threads = threading.Event(), []

    def call():
        assert callers_turn.wait(10)
        threads.append(threading.current_thread())
        return 'result'

    with Background(call) as work:
        work.start()
        work.start()
        callers_turn.set()  # not reached where `start` runs the call itself
        assert work.result() == work.result() == 'result'
    assert len(threads) == 1 and threads[0] is not threading.current_thread()


def test_result_starts_it_and_raises_what_it_raised():
    with Background(lambda: [][0]) as work, pytest.raises(IndexError):
        work.result()


def test_leaving_waits_for_its_end():
    ended = []

    def call():
        threading.Event().wait(0.05)
        ended.append(True)

    with Background(call) as work:
        work.start()
    assert ended and not background.running


def test_an_exception_does_not_wait_for_it():
    proceed = threading.Event()
    with pytest.raises(KeyboardInterrupt), Background(lambda: proceed.wait(10)) as work:
        work.start()
        raise KeyboardInterrupt
    assert background.running == {work.future}
    proceed.set()
    work.result()
    assert not background.running


def test_nothing_runs_that_was_not_started():
    ran = []
    with Background(lambda: ran.append(True)):
        pass
    assert not ran
