"""Waiting for a process: as long as it gets on, and no longer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from marsbench import patience
from marsbench.patience import Patience, await_end, await_nobody, cpu_s, processes

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
SILENCE_S = 100.0
SPINS = "[0 for _ in iter(int, 1)]"
SLEEPS = "import time; time.sleep(1000)"
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "


@dataclass
class World:
    """A clock and a process as the test says."""

    at: float = 0.0
    used_s: float | None = 0.0

    def patience(self, log: Path | None = None) -> Patience:
        return Patience(1, SILENCE_S, log, lambda: self.at, lambda _: self.used_s)


def test_silence_is_what_ends_patience() -> None:
    world = World()
    waiting = world.patience()
    found = []
    for world.at in (50.0, 100.0, 101.0):
        found.append(waiting.is_over())
    assert found == [False, False, True]


def test_work_is_no_silence_however_long_it_takes() -> None:
    world = World()
    waiting = world.patience()
    for look in range(1, 1000):  # a fiftieth of a core, on a busy machine
        world.at, world.used_s = 10.0 * look, 0.2 * look
        assert not waiting.is_over()


def test_idling_is_silence() -> None:
    world = World()
    waiting = world.patience()
    over = []
    for look in range(1, 40):  # a two-hundredth of a core
        world.at, world.used_s = 5.0 * look, 0.025 * look
        over.append(waiting.is_over())
    assert over[-1]
    assert over.index(True) == 20


def test_a_log_that_grows_is_no_silence(tmp_path: Path) -> None:
    world, log = World(used_s=None), tmp_path / "log"
    waiting = world.patience(log)
    for look in range(1, 10):
        world.at = 90.0 * look
        log.write_text("x" * look)
        assert not waiting.is_over()
    world.at += SILENCE_S + 1
    assert waiting.is_over()


@linux
@pytest.mark.processes
def test_a_process_and_all_below_it_are_counted() -> None:
    # Both work for more than the tick in which the system counts: a start alone may take less.
    works = "sum(range(5_000_000)); print(1, flush=True); input()"
    run = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {works!r}])"
    code = f"sum(range(5_000_000)); {run}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        tree = [p for p in processes() if process.pid in (p.pid, p.parent)]
        used = cpu_s(process.pid)
        process.communicate(b"\n")
    assert len(tree) == 2
    assert used == pytest.approx(sum(p.cpu_s for p in tree))
    assert min(p.cpu_s for p in tree) > 0
    assert cpu_s(process.pid) == 0


def asked_to_end(code: str, most_s: float = 600.0) -> bool:
    """Whether a process with this code ends in time; it is killed if not."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    ended = await_end(process, 0.2, most_s)
    process.kill()
    process.communicate()
    await_nobody(process.pid, 10)
    assert [p for p in processes() if p.group == process.pid and not p.is_zombie] == []
    return ended


class Asked:
    """A process that was asked to end, and does after so many looks."""

    pid = 1

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def poll(self) -> int | None:
        self.looks -= 1
        return None if self.looks > 0 else 0


@pytest.mark.parametrize(
    ("share", "most_s", "ends"),
    [(0.02, 2000.0, True), (0.005, 2000.0, False), (0.02, 500.0, False)],
)
def test_one_that_works_after_it_was_asked_to_end_is_let_finish(
    share: float, most_s: float, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its work takes 1,000 s and it may be silent for 100; but what never ends is given up."""
    world = World()

    def sleep(_: float) -> None:
        world.at += 10.0
        world.used_s = share * world.at

    facts = {"now": lambda: world.at, "used": lambda _: world.used_s}
    monkeypatch.setattr(patience, "Patience", partial(Patience, **facts))
    monkeypatch.setattr(patience, "monotonic", lambda: world.at)
    monkeypatch.setattr(patience, "time", SimpleNamespace(sleep=sleep))
    assert await_end(Asked(100), SILENCE_S, most_s) is ends  # type: ignore[arg-type]


@linux
@pytest.mark.processes
@pytest.mark.parametrize("code", [SPINS, SLEEPS])
def test_one_that_does_not_end_is_not_waited_for_for_ever(code: str) -> None:
    assert not asked_to_end(IGNORES + code, most_s=1.0)
