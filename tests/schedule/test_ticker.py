from __future__ import annotations

import threading
import time

import pytest

from newsletter_bot.schedule import ticker as module
from newsletter_bot.schedule.ticker import Ticker


class Bell:
    """Counts rings, and lets a test wait for them."""

    def __init__(self) -> None:
        self.count = 0
        self._rung = threading.Condition()

    def __call__(self) -> None:
        with self._rung:
            self.count += 1
            self._rung.notify_all()

    def wait_for(self, count: int) -> None:
        with self._rung:
            assert self._rung.wait_for(lambda: self.count >= count, timeout=30)


def raising(_name: str, error: Exception) -> None:
    raise error


def test_a_duty_is_called_at_the_start_again_and_when_it_is_rung() -> None:
    often, seldom = Bell(), Bell()
    ticker = Ticker(raising)
    ticker.every(0.05, "often", often)
    ticker.every(3600, "seldom", seldom)
    ticker.start()
    often.wait_for(3)
    seldom.wait_for(1)
    ticker.ring("seldom")
    seldom.wait_for(2)
    ticker.ring("seldom", time.time() + 0.1)
    seldom.wait_for(3)
    ticker.ring("seldom", time.time() + 10_000)  # its own turn comes first
    ticker.ring("nobody")
    ticker.stop()
    assert seldom.count == 3


def test_a_duty_that_is_rung_while_it_is_under_way_is_called_again() -> None:
    begun, done = Bell(), Bell()
    go_on = threading.Event()

    def duty() -> None:
        begun()
        go_on.wait(30)
        done()

    ticker = Ticker(raising)
    ticker.every(3600, "duty", duty)
    ticker.start()
    begun.wait_for(1)
    ticker.ring("duty")
    ticker.ring("duty")
    go_on.set()
    done.wait_for(2)
    assert ticker.wait(30)
    ticker.stop()
    assert done.count == 2


def test_a_duty_that_fails_is_told_and_called_again() -> None:
    told: list[tuple[str, Exception]] = []
    heard = Bell()

    def failed(name: str, error: Exception) -> None:
        told.append((name, error))
        heard()

    def duty() -> None:
        raise OSError("the disk is full")

    ticker = Ticker(failed)
    ticker.every(0.05, "duty", duty)
    ticker.start()
    heard.wait_for(2)
    ticker.stop()
    assert told[0][0] == "duty"


def test_a_duty_never_runs_twice_at_a_time() -> None:
    inside, most = 0, 0
    lock = threading.Lock()
    bell = Bell()

    def duty() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.1)
        with lock:
            inside -= 1
        bell()

    ticker = Ticker(raising)
    ticker.every(0.02, "duty", duty)
    ticker.start()
    bell.wait_for(3)
    ticker.stop()
    assert most == 1


def test_a_clock_that_is_set_back_a_day_does_not_stop_the_ticking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_GUARD", 0.05)
    bell = Bell()
    ticker = Ticker(raising)
    ticker.every(3600, "duty", bell)
    ticker.start()
    bell.wait_for(1)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    bell.wait_for(2)
    monkeypatch.undo()
    ticker.stop()
