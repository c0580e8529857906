"""The server's own figures, read at intervals into the information stream."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from marsbench.clock import WallClock
from marsbench.core.events import Event, KvUsage, PreemptionCount
from marsbench.serve.metrics_page import ServerMetrics
from marsbench.wall.server import metrics_told
from marsbench.wall.wire import NO_ANSWER

SAMPLE_S = 1.0
LEAST_WALL_S = 0.2
ANSWER_S = 5.0


class MetricsWatch:
    """Samples a server's /metrics: KV usage, who runs and waits, preemptions since its start.

    is_idle: whether nothing is going on, of which KV usage would say nothing.
    tools_in_flight: tool calls that run; None where that is not known.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        root: str,
        clock: WallClock,
        record: Callable[[Event], None],
        is_idle: Callable[[], bool],
        tools_in_flight: Callable[[], int | None],
    ) -> None:
        self._http = http
        self._url = f"{root}/metrics"
        self._clock = clock
        self._record = record
        self._is_idle = is_idle
        self._tools_in_flight = tools_in_flight

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
            answer = await self._http.get(self._url, timeout=ANSWER_S)
        except NO_ANSWER:
            return
        found = metrics_told(answer)
        if found is not None:
            self._write(found, self._clock.now)

    def _write(self, found: ServerMetrics, at: float) -> None:
        if found.preemptions is not None:
            self._record(PreemptionCount(at, found.preemptions))
        if self._is_idle():
            return
        self._record(
            KvUsage(
                at,
                used_blocks=found.used_blocks,
                held_blocks=None,  # a server does not say which of its blocks are held
                free_blocks=found.free_blocks,
                running=found.running,
                waiting=found.waiting,
                tools_in_flight=self._tools_in_flight(),
            )
        )
