"""Signals wait for what is under way."""

import signal
import threading
import time
from datetime import timedelta

import pytest

from pipeline.asking import Patience
from pipeline.orchestration.interruption import Interruption
from pipeline.providers.errors import TransientError
from pipeline.stopping import SIGNALS, STOPPING, finishing


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_what_is_under_way(
    interruption: Interruption, number: signal.Signals
) -> None:
    done: list[object] = []

    def work() -> None:
        with finishing():
            done.append(STOPPING.is_set())
            signal.raise_signal(number)
            signal.raise_signal(number)
            done.append(STOPPING.is_set())
        done.append("more")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert done == [False, True]
    assert not STOPPING.is_set()
    signal.raise_signal(signal.SIGINT)  # a second interruption does nothing


def test_it_is_not_forgotten_when_the_work_fails(interruption: Interruption) -> None:
    def work() -> None:
        with finishing():
            signal.raise_signal(signal.SIGTERM)
            raise ValueError("of the work")

    with pytest.raises(KeyboardInterrupt) as caught:
        work()

    assert isinstance(caught.value.__context__, ValueError)


def test_without_a_signal_nothing_has_changed(interruption: Interruption) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    with finishing():
        pass

    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_what_is_ignored_stays_so(interruption: Interruption) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with finishing():
        signal.raise_signal(signal.SIGHUP)
        assert not STOPPING.is_set()


def test_another_thread_holds_nothing_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    found: list[object] = []

    def work() -> None:
        with finishing():
            found.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert found == before


def test_nobody_waits_to_ask_again_while_we_stop(interruption: Interruption) -> None:
    asked: list[int] = []

    def question() -> None:
        asked.append(1)
        signal.raise_signal(signal.SIGTERM)
        raise TransientError("provider", "busy")

    def work() -> None:
        with finishing(), pytest.raises(TransientError):
            Patience(first_wait=timedelta(minutes=1)).retrying()(question)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work()

    assert asked == [1]
    assert time.monotonic() - began < 10
