"""Whose tools run: as clients say, and else as far as the gaps between rounds show."""

from __future__ import annotations

from collections.abc import Callable

from marsbench.core import events
from marsbench.gateway.load import LoadRules
from marsbench.gateway.session import Clock, OpenSession, RunningCall
from marsbench_backends import signals
from marsbench_backends.admission import Admission

INFERRED = "tool"
"""The name of a tool call that is only known as the gap between two rounds."""


class ToolCalls:
    """Starts and ends the tool calls of sessions, and tells the controller of it."""

    def __init__(
        self,
        clock: Clock,
        admission: Admission,
        emit: Callable[[events.Event], None],
        rules: LoadRules,
    ) -> None:
        self._clock = clock
        self._admission = admission
        self._emit = emit
        self._rules = rules

    def infer(self, session: OpenSession, tools: tuple[str, ...]) -> None:
        """A round that announced these tools was answered: a gap begins, which may be a call's."""
        if not session.tells_tools:
            self._start(session, INFERRED, None, self._rules.gap(tools))

    def told_start(
        self, session: OpenSession, name: str, key: str | None, burns_cpu: bool | None
    ) -> None:
        """The client says that a call began; burns_cpu None: not whether it burns CPU."""
        inferred = None if session.tells_tools else next(iter(session.calls), None)
        session.tells_tools = True
        burns_cpu = self._rules.call(name, burns_cpu)
        if inferred is not None:  # the gap that was taken for a call is this call
            inferred.name, inferred.key, inferred.burns_cpu = name, key, burns_cpu
        else:
            self._start(session, name, key, burns_cpu)

    def told_end(
        self, session: OpenSession, name: str, key: str | None, queued_s: float | None
    ) -> bool:
        """The client says that a call ended; False when no such call runs."""
        call = next((c for c in session.calls if c.key == key and c.name == name), None)
        if call is None:
            return False
        session.tells_tools = True
        self._end(session, call, queued_s)
        return True

    def end_all(self, session: OpenSession) -> None:
        """A round is asked for when its tools have ended."""
        for call in list(session.calls):
            self._end(session, call, None)

    def _start(
        self, session: OpenSession, name: str, key: str | None, burns_cpu: bool | None
    ) -> None:
        now, number = self._clock.now, session.num_rounds - 1
        call = RunningCall(session.num_calls, name, key, now, burns_cpu)
        session.num_calls += 1
        session.calls.append(call)
        self._emit(
            events.ToolStart(now, session.id, number, call.number, name, burns_cpu=burns_cpu)
        )
        self._admission.observe(signals.ToolStarted(now, session.id, name))

    def _end(self, session: OpenSession, call: RunningCall, queued_s: float | None) -> None:
        now, number = self._clock.now, session.num_rounds - 1
        session.calls.remove(call)
        seconds = now - call.started_at
        self._emit(events.ToolEnd(now, session.id, number, call.number, call.name))
        self._admission.observe(signals.ToolEnded(now, session.id, call.name, seconds, queued_s))
