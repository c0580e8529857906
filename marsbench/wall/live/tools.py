"""Tool calls on the wall clock: as long as the modelled host takes, or as work that is done."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable

from marsbench.clock import ROUNDING_S, WallClock
from marsbench.core.session import ToolCall
from marsbench.hardware.host import ToolHost
from marsbench.wall.live.options import ToolsAs

# Burns CPU until it has had the seconds asked of it. It counts CPU time, not iterations, so that
# the machine's speed does not matter; it ends with the pipe it reads from.
BURN = """
import sys, time
for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end:
        pass
    print(flush=True)
"""

Work = Callable[[float], Awaitable[None]]


class ToolRunner:
    """Runs calls; `in_flight` of them run now. An async context, which owns the processes.

    cores, workers: of the modelled host; workers also bounds the real processes.
    """

    def __init__(
        self, clock: WallClock, tools_as: ToolsAs, cores: int, workers: int | None
    ) -> None:
        self.in_flight = 0
        self._clock = clock
        self._as = tools_as
        self._host = ModelledHost(clock, cores, workers)
        self._burners = Burners(workers)

    async def __aenter__(self) -> ToolRunner:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._burners.close()

    def burns_cpu(self, call: ToolCall) -> bool:
        """Whether the call is work for cores, modelled or real, as it is played here."""
        return call.burns_cpu or (self._as == "cpu" and call.child is None)

    async def run(self, call: ToolCall, at: float) -> float:
        """Play a call that begins at `at`; returns when it ended, in the run's seconds."""
        self.in_flight += 1
        try:
            return await self._run(call, at)
        finally:
            self.in_flight -= 1

    async def _run(self, call: ToolCall, at: float) -> float:
        if self._as == "sleep" and call.kind == "cpu":
            return await self._host.run(call, at)
        seconds = call.cpu_s / call.cores
        if self._as == "cpu":
            seconds = call.alone_s
        if seconds:
            await self._burners.run(seconds / self._clock.speed, call.cores)
            at = max(at, self._clock.now - call.floor_s)
        return await self._clock.until(at + call.floor_s)


class ModelledHost:
    """The simulator's tool host, waited for on the wall clock."""

    def __init__(self, clock: WallClock, cores: int, workers: int | None) -> None:
        self._clock = clock
        self._host = ToolHost(cores, workers)
        self._ended: dict[int, asyncio.Future[float]] = {}
        self._number = 0
        self._seen = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    async def run(self, call: ToolCall, at: float) -> float:
        """When the host is done with the call."""
        self._number += 1
        ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._ended[self._number] = ended
        self._seen = max(self._seen, at)  # two calls may be told in another order than they began
        self._host.start(self._number, call.cpu_s, call.floor_s, self._seen, call.cores)
        self._set_alarm()
        return await ended

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        end = self._host.next_end()
        if end is not None:
            wait = max(0.0, (end - self._clock.now) / self._clock.speed) + ROUNDING_S
            self._alarm = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        while (end := self._host.next_end()) is not None and end <= self._clock.now:
            self._seen = max(self._seen, end)
            for number in self._host.pop_ended(self._seen):
                assert isinstance(number, int)
                ended = self._ended.pop(number)
                if not ended.done():
                    ended.set_result(self._seen)
        self._set_alarm()


class Burners:
    """Processes that burn CPU, one for each core of a call, started when needed and used again.

    workers: the most calls at once, others wait; None starts as many as there are calls.
    """

    def __init__(self, workers: int | None) -> None:
        self._places = asyncio.Semaphore(workers) if workers is not None else None
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: list[asyncio.subprocess.Process] = []

    async def run(self, cpu_s: float, cores: int = 1) -> None:
        """Burn so many CPU-seconds of each of the cores, all at once and as one call."""
        async with self._places or contextlib.nullcontext():
            await asyncio.gather(*(self._burn(cpu_s) for _ in range(cores)))

    async def _burn(self, cpu_s: float) -> None:
        process = self._idle.pop() if self._idle else await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{cpu_s}\n".encode())
        await process.stdout.readline()
        self._idle.append(process)

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own: a Ctrl-C in the terminal is for us to answer.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", BURN,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._all.append(process)
        return process

    async def close(self) -> None:
        """Stop them all, whatever they are doing."""
        for process in self._all:
            if process.returncode is None:
                process.kill()
        for process in self._all:
            await process.communicate()
