"""Tests wait as long as something moves, and never for a number of seconds.

What runs in this process is given turns: on a busy machine a turn comes later, and so does the
end of patience. What runs elsewhere is waited for while it works (`marsbench.patience`); a test
in which nothing works any more fails where it stands (`Guard`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from marsbench.patience import Patience, cpu_s

SILENCE_S = 180.0
TURNS = 6_000
TURN_S = 0.01
LOOK_S = 5.0
T = TypeVar("T")


def patience(process: subprocess.Popen[Any] | None) -> Callable[[], bool]:
    """Whether it is over, asked once a turn: when that process is silent, or turns are used up."""
    if process is not None:
        return Patience(process.pid, SILENCE_S).is_over
    left = iter(range(TURNS))
    return lambda: next(left, None) is None


def until(holds: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> None:
    """Until it holds, in this process or by what that one does."""
    is_over = patience(process)
    while not holds():
        assert not is_over(), "it does not come about"
        time.sleep(TURN_S)


async def turns(holds: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> bool:
    """Whether it comes to hold, by what goes on in this loop or that process does."""
    is_over = patience(process)
    while not holds():
        if is_over():
            return False
        await asyncio.sleep(TURN_S)
    return True


async def bounded(story: Awaitable[T], process: subprocess.Popen[Any] | None = None) -> T:
    """What comes of a story on this loop; a story that hangs is cancelled and fails."""
    told = asyncio.ensure_future(story)
    if not await turns(told.done, process):
        told.cancel()
    return await told


def output(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process says until it ends; one that does nothing any more is killed, and fails."""
    is_over = patience(process)
    while True:
        try:
            return process.communicate(timeout=1.0)
        except subprocess.TimeoutExpired:
            if is_over():
                process.kill()
                pytest.fail(f"it does nothing any more; it said: {process.communicate()}")


class Guard:
    """Fails the test that runs when this process, with all below it, does nothing any more.

    So a test may wait without a limit for what another process does. silence_s: for so long.
    """

    def __init__(self, silence_s: float = SILENCE_S) -> None:
        self._silence_s = silence_s
        self._test: object | None = None
        if cpu_s(os.getpid()) is not None:
            signal.signal(signal.SIGUSR1, self._fail)
            threading.Thread(target=self._follow, daemon=True).start()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """A test runs while the block does."""
        self._test = object()
        try:
            yield
        finally:
            self._test = None

    def _follow(self) -> None:
        seen: object | None = None
        while True:
            time.sleep(min(LOOK_S, self._silence_s / 4))
            if self._test is not seen:
                seen, patience = self._test, Patience(os.getpid(), self._silence_s)
            elif seen is not None and patience.is_over() and self._test is seen:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
                seen = None

    def _fail(self, *_: object) -> None:
        pytest.fail(f"nothing moved for {self._silence_s:g} s")
