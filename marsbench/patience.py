"""How long a process is waited for: as long as it gets on, whatever else its machine has to do.

A number of seconds that is enough on a quiet machine is too few on a busy one. So what is counted
is silence: seconds in which neither a log grew nor the process, with all that it started, used as
much as a hundredth of a core. A server that idles uses less (0.2 % of one, vLLM 0.33.0).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsbench.clock import monotonic

LEAST_SHARE = 0.01
"""Of a core: who uses less does nothing."""
POLL_S = 0.05
LOOK_S = 1.0
"""Between two readings of all processes: one takes some milliseconds."""
MOST_S = 600.0
"""An end is waited for, of what spins and would never be silent."""
KILL_S = 10.0
"""In which a group that was killed is gone."""
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A process as Linux tells of it. cpu_s: its own, and of its children that have ended."""

    pid: int
    is_zombie: bool
    parent: int
    group: int
    cpu_s: float


def processes() -> list[Process]:
    """All of this machine; none where there is no /proc."""
    return list(_read_all()) if (PROC / "self" / "stat").exists() else []


def _read_all() -> Iterator[Process]:
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    for folder in os.scandir(PROC):
        if not folder.name.isdecimal():
            continue
        try:
            text = Path(folder.path, "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended
            continue
        # The name may hold anything, blanks and brackets too. Fields: man proc_pid_stat.
        state, parent, group, *rest = text.rpartition(") ")[2].split()
        cpu_s = sum(map(int, rest[8:12])) * tick_s
        yield Process(int(folder.name), state in "ZX", int(parent), int(group), cpu_s)


def cpu_s(pid: int) -> float | None:
    """CPU seconds of a process and of all that it started; None where they are not told."""
    found = processes()
    if not found:
        return None
    below: dict[int, list[Process]] = {}
    for process in found:
        below.setdefault(process.parent, []).append(process)
    tree = [process for process in found if process.pid == pid]
    for process in tree:  # it grows as it is walked
        tree += below.get(process.pid, ())
    return sum(process.cpu_s for process in tree)


class Patience:
    """Whether a process still gets on; ask now and then.

    seconds: of silence after which it is over. log: a file that grows as it gets on.
    """

    def __init__(
        self,
        pid: int,
        seconds: float,
        log: Path | None = None,
        now: Callable[[], float] = monotonic,
        used: Callable[[int], float | None] = cpu_s,
    ) -> None:
        self._pid = pid
        self._seconds = seconds
        self._log = log
        self._now = now
        self._used = used
        self._looked_at = self._moved_at = now()
        self._cpu_s, self._size = self._readings()

    def is_over(self) -> bool:
        """Whether nothing has moved for too long."""
        now = self._now()
        if now - self._looked_at >= min(LOOK_S, self._seconds / 2):
            self._looked_at = now
            self._look(now)
        return now - self._moved_at > self._seconds

    def _look(self, now: float) -> None:
        cpu_s, size = self._readings()
        if size != self._size or self._has_worked(cpu_s):
            self._moved_at, self._cpu_s, self._size = now, cpu_s, size

    def _has_worked(self, cpu_s: float | None) -> bool:
        if cpu_s is None or self._cpu_s is None:
            return False
        # Less than before: one of them has ended, and nobody has asked for its time.
        return abs(cpu_s - self._cpu_s) >= max(LEAST_SHARE * self._seconds, 1e-9)

    def _readings(self) -> tuple[float | None, int]:
        there = self._log is not None and self._log.exists()
        return self._used(self._pid), self._log.stat().st_size if there and self._log else 0


def await_end(process: subprocess.Popen[Any], seconds: float, most_s: float = MOST_S) -> bool:
    """Whether it ends, having been asked to: waited for until it is silent for so long."""
    patience, until = Patience(process.pid, seconds), monotonic() + most_s
    while process.poll() is None:
        if patience.is_over() or monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True


def end_group(process: subprocess.Popen[Any], seconds: float) -> None:
    """End the leader of a process group and all that it started, so that nobody is left.

    It is asked to first, and waited for until it is silent for so long.
    """
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    # A second Ctrl-C does not wait.
    with suppress(KeyboardInterrupt):
        await_end(process, seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    await_nobody(process.pid, KILL_S)


def await_nobody(group: int, seconds: float) -> None:
    """Until nobody is left in a process group that has been killed, or so many seconds."""
    until = monotonic() + seconds
    while monotonic() < until and any(
        process.group == group and not process.is_zombie for process in processes()
    ):
        time.sleep(POLL_S)
