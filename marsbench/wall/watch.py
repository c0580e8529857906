"""The server's own figures, read at intervals into the information stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from marsbench.core import events
from marsbench.serve.metrics_page import ServerMetrics
from marsbench.wall.clock import WallClock
from marsbench.wall.live.client import Tally
from marsbench.wall.live.tools import Tools
from marsbench.wall.server import metrics_told
from marsbench.wall.wire import NO_ANSWER, Wire

SAMPLE_S = 1.0
LEAST_WALL_S = 0.2
ANSWER_S = 5.0


class MetricsWatch:
    """Samples a server's /metrics: KV usage, who runs and waits, preemptions since its start."""

    def __init__(
        self,
        url: str,
        wire: Wire,
        clock: WallClock,
        tally: Tally,
        tools: Tools,
        record: Callable[[events.Event], None],
    ) -> None:
        self._url = url
        self._clock = clock
        self._wire = wire
        self._tally = tally
        self._tools = tools
        self._record = record

    async def follow(self) -> None:
        """Sample for ever, every second of the run or a few times a second of the wall."""
        step = max(SAMPLE_S, LEAST_WALL_S * self._clock.speed)
        at = self._clock.now
        while True:
            await self.sample()
            at = await self._clock.until(max(at + step, self._clock.now))

    async def sample(self) -> None:
        """One reading; none that fails is made up for."""
        try:
            answer = await self._wire.client.get(self._url, timeout=ANSWER_S)
        except NO_ANSWER:
            return
        found = metrics_told(answer)
        if found is not None:
            self._write(found)

    def _write(self, found: ServerMetrics) -> None:
        at, tools = self._clock.now, self._tools.in_flight
        if found.preemptions is not None:
            self._record(events.PreemptionCount(at, found.preemptions))
        if not (tools or self._tally.in_flight):
            return
        self._record(kv_usage(found, at, tools))


def kv_usage(found: ServerMetrics, at: float, tools_in_flight: int | None) -> events.KvUsage:
    """A reading as an event. A server does not say which of its blocks are held."""
    return events.KvUsage(
        at,
        used_blocks=found.used_blocks,
        held_blocks=None,
        free_blocks=found.free_blocks,
        running=found.running,
        waiting=found.waiting,
        tools_in_flight=tools_in_flight,
    )


async def repeat(seconds: float, action: Callable[[], None]) -> None:
    """Do it every so many wall seconds, for ever."""
    while True:
        await asyncio.sleep(seconds)
        action()
