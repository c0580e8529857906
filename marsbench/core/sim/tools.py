"""Tool calls in virtual time: a modelled host for what burns CPU, a timer for what waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from marsbench.core.session import ToolCall
from marsbench.core.sim.clock import Due, VirtualClock
from marsbench.hardware.host import ToolHost

Ended = Callable[[float | None], None]


class SimTools:
    """Runs tool calls and tells each caller when its call has ended, with its queueing seconds.

    in_flight: calls that run, those that only wait included. Those are no load: see `num_burning`.
    """

    def __init__(self, clock: VirtualClock, host: ToolHost) -> None:
        self._clock = clock
        self._host = host
        self._alarms: set[float] = set()
        self.in_flight = 0

    @property
    def cores(self) -> int:
        return self._host.cores

    @property
    def num_burning(self) -> int:
        """Calls that burn CPU now, or wait for a worker to do so: the load of the tool host."""
        return self._host.num_burning(self._clock.now)

    def run(self, call: ToolCall, ended: Ended) -> None:
        """Start a call of kind "cpu" or "wait" now."""
        self.in_flight += 1
        if call.kind == "wait":
            self._clock.at(self._clock.now + call.floor_s, Due.TOOL_END, lambda: self._end(ended))
            return
        self._host.start(ended, call.cpu_s, call.floor_s, self._clock.now, call.cores)
        self._set_alarm()

    def _end(self, ended: Ended, queued_s: float | None = None) -> None:
        self.in_flight -= 1
        ended(queued_s)

    def _set_alarm(self) -> None:
        """Wake when the host's next call ends; an alarm that was overtaken finds nothing ended.

        One for each instant: else every overtaken one would set another beside that which is set.
        """
        end = self._host.next_end()
        at = None if end is None else max(end, self._clock.now)
        if at is not None and at not in self._alarms:
            self._alarms.add(at)
            self._clock.at(at, Due.HOST, self._wake)

    def _wake(self) -> None:
        self._alarms.discard(self._clock.now)
        for ended in self._host.pop_ended(self._clock.now):
            self._end(cast("Ended", ended), self._host.queued_s(ended))
        self._set_alarm()
