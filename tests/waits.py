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

from marsbench.patience import Patience

SILENCE_S = 180.0
TURNS = 6_000
TURN_S = 0.01
LOOK_S = 5.0
T = TypeVar("T")


def until(holds: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> None:
    """Until it holds: while that process works, or for as many turns as would do in this one."""
    patience = None if process is None else Patience(process.pid, SILENCE_S)
    for turn in _turns():
        if holds():
            return
        if patience is None:
            assert turn < TURNS, "it does not come about"
        else:
            assert not patience.is_over(), "the process does nothing any more"
        time.sleep(TURN_S)


async def turns(holds: Callable[[], Any]) -> bool:
    """Whether it comes to hold while this loop takes its turns."""
    for _ in range(TURNS):
        if holds():
            return True
        await asyncio.sleep(TURN_S)
    return bool(holds())


async def bounded(story: Awaitable[T]) -> T:
    """What comes of a story on this loop; a story that hangs is cancelled and fails."""
    told = asyncio.ensure_future(story)
    if not await turns(told.done):
        told.cancel()
    return await told


def output(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process says until it ends; one that does nothing any more is killed, and fails."""
    patience = Patience(process.pid, SILENCE_S)
    while True:
        try:
            return process.communicate(timeout=1.0)
        except subprocess.TimeoutExpired:
            if patience.is_over():
                process.kill()
                pytest.fail(f"it does nothing any more; it said: {process.communicate()}")


def _turns() -> Iterator[int]:
    turn = 0
    while True:
        yield turn
        turn += 1


class Guard:
    """Fails the test that runs when this process, with all below it, does nothing any more.

    A test may so wait without a limit for what another process does. `silence_s`: for so long.
    """

    def __init__(self, silence_s: float = SILENCE_S) -> None:
        self._silence_s = silence_s
        self._patience: Patience | None = None
        signal.signal(signal.SIGUSR1, self._fail)
        threading.Thread(target=self._follow, daemon=True).start()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """A test runs while the block does."""
        self._patience = Patience(os.getpid(), self._silence_s)
        try:
            yield
        finally:
            self._patience = None

    def _follow(self) -> None:
        while True:
            time.sleep(min(LOOK_S, self._silence_s / 4))
            patience = self._patience
            if patience is not None and patience.is_over():
                self._patience = None
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _fail(self, *_: object) -> None:
        pytest.fail(f"nothing moved for {self._silence_s:g} s")
