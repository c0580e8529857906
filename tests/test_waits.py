"""How tests wait."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time

import pytest

import waits

SLEEPS = [sys.executable, "-c", "import time; time.sleep(1000)"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "TURNS", 20)
    monkeypatch.setattr(waits, "SILENCE_S", 0.5)


def test_what_comes_to_hold_is_waited_for() -> None:
    done = threading.Event()
    threading.Timer(0.05, done.set).start()
    waits.until(done.is_set)


@pytest.mark.usefixtures("short")
def test_what_never_holds_is_given_up() -> None:
    with pytest.raises(AssertionError, match="does not come about"):
        waits.until(lambda: False)
    assert not asyncio.run(waits.turns(lambda: False))


@pytest.mark.usefixtures("short")
def test_a_story_that_hangs_is_cancelled() -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(waits.bounded(asyncio.Event().wait()))


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process does")
@pytest.mark.usefixtures("short")
def test_a_process_that_does_nothing_is_given_up() -> None:
    process = subprocess.Popen(SLEEPS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with pytest.raises(AssertionError, match="does not come about"):
        waits.until(lambda: False, process)
    with pytest.raises(pytest.fail.Exception, match="does nothing any more"):
        waits.output(process)


@pytest.mark.processes
def test_what_a_process_says_is_kept_however_long_it_takes() -> None:
    says = "import time; print(1, flush=True); time.sleep(1.5); print(2)"
    process = subprocess.Popen(
        [sys.executable, "-c", says], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert waits.output(process) == ("1\n2\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process does")
def test_a_test_in_which_nothing_moves_fails_where_it_stands() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    guard = waits.Guard(silence_s=0.4)
    try:
        with pytest.raises(pytest.fail.Exception, match="nothing moved"), guard.watching():
            time.sleep(1000)
    finally:
        signal.signal(signal.SIGUSR1, before)
