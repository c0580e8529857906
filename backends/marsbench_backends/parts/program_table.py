"""Autellix's program table, kept up by what happens: who waits, who runs, in which queue."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence

from marsbench_backends.parts.program_calls import Program, ProgramCall
from marsbench_backends.policy import View
from marsbench_backends.signals import (
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    RoundSubmitted,
    SessionEnded,
    Signal,
    StepEnded,
)

UNITS = ("seconds", "tokens")
NEVER = math.inf


class ProgramTable:
    """Programs and their calls. The meter counts `unit`: of the clock, or of all tokens computed.

    edges: service at which each queue's range ends; a queue's quantum is its range.
    finish: adds a finished call to its program's service.
    """

    def __init__(
        self, unit: str, edges: Sequence[float], beta: float, finish: Callable[[ProgramCall], None]
    ) -> None:
        self._in_tokens = unit == "tokens"
        self._edges = tuple(edges)
        widths = zip((0.0, *edges), edges, strict=False)
        self._quanta = (*(high - low for low, high in widths), math.inf)
        self._beta = beta
        self._finish = finish
        self._programs: dict[str, Program] = {}
        self._calls: dict[str, ProgramCall] = {}
        self._running: dict[str, ProgramCall] = {}
        self._tokens = 0
        self._promotions: list[float] = []  # of all that wait, in order
        self.version = 0

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._programs or session_id in self._calls

    def level(self, session_id: str, view: View) -> int:
        """The queue of the session's call; 0 goes first, and a call not yet seen goes there."""
        call = self._calls.get(session_id)
        if call is None:
            return 0
        if call.promote_at == NEVER:  # as one that runs, which is asked in every step
            return call.level
        return 0 if self._meter(view.now) >= call.promote_at else call.level

    def steady_tokens(self, session_id: str) -> float:
        """Tokens that the session's call can get before it or a waiting one changes its queue."""
        call = self._running.get(session_id)
        if call is None or not self._in_tokens:
            return math.inf
        left = self._quanta[call.level] - call.used
        ahead = self._next_promotion(self._tokens) - self._tokens
        if ahead == math.inf:
            return left
        if any(other.prefilling for other in self._running.values()):
            return 1  # how far the others move the meter in a step is not known here
        return min(left, math.ceil(ahead / len(self._running)))

    def changes_at(self, now: float) -> float:
        """When a call may next change its queue by the passing of time."""
        if self._in_tokens:
            return math.inf
        quanta = self._quanta
        demotions = [c.exhausts_at(quanta[c.level], now) for c in self._running.values()]
        return min(self._next_promotion(now), *demotions, math.inf)

    def observe(self, signal: Signal) -> None:
        match signal:
            case RoundSubmitted():
                self._submit(signal)
            case RoundStarted() if signal.session_id in self._calls:
                self._begin(signal)
            case RoundPreempted() if signal.session_id in self._calls:
                self._wait(signal.session_id, signal.at)
            case RoundEnded():
                self._end(signal.session_id)
            case SessionEnded():
                self._end(signal.session_id)
                self._programs.pop(signal.session_id, None)

    def serve(self, step: StepEnded) -> None:
        if self._in_tokens:
            self._serve_tokens(step)
        else:
            self._serve_seconds(step)

    def _serve_seconds(self, step: StepEnded) -> None:
        running, quanta, until = self._running, self._quanta, step.at
        began = until - step.seconds
        for session_id, _, _ in step.served:
            call = running.get(session_id)
            if call is not None and call.serve_seconds(began, until) >= quanta[call.level]:
                self._demote(call)

    def _serve_tokens(self, step: StepEnded) -> None:
        for session_id, tokens, prefill in step.served:
            self._advance(tokens)
            call = self._running.get(session_id)
            if call is not None:
                call.prefilling = prefill
                call.serve_tokens(tokens)
                self._demote(call)

    def _demote(self, call: ProgramCall) -> None:
        while call.used >= self._quanta[call.level]:
            call.demote(self._quanta[call.level])

    def _advance(self, tokens: int) -> None:
        if self._next_promotion(self._tokens) <= self._tokens + tokens:
            self.version += 1
        self._tokens += tokens

    def _meter(self, now: float) -> float:
        return self._tokens if self._in_tokens else now

    def _submit(self, signal: RoundSubmitted) -> None:
        session_id = signal.session_id
        self._end(session_id)  # a client that sends two rounds at once is taken at its last
        if session_id not in self._programs:
            # A sub-agent's calls are its parent's program's.
            parent = self._programs.get(signal.parent_id or "")
            self._programs[session_id] = Program() if parent is None else parent
        program = self._programs[session_id]
        level = bisect_right(self._edges, program.served)
        self._calls[session_id] = ProgramCall(program, program.served, level)
        self._wait(session_id, signal.at)

    def _wait(self, session_id: str, at: float) -> None:
        call = self._calls[session_id]
        call.wait(self._meter(at), self._beta)
        self._running.pop(session_id, None)
        insort(self._promotions, call.promote_at)

    def _begin(self, signal: RoundStarted) -> None:
        call = self._calls[signal.session_id]
        self._stop_waiting(call)
        call.begin(self._meter(signal.at), signal.at)
        self._running[signal.session_id] = call

    def _end(self, session_id: str) -> None:
        self._running.pop(session_id, None)
        call = self._calls.pop(session_id, None)
        if call is not None:
            self._stop_waiting(call)
            call.end()
            self._finish(call)

    def _stop_waiting(self, call: ProgramCall) -> None:
        if call.waits_since is not None:
            del self._promotions[bisect_left(self._promotions, call.promote_at)]

    def _next_promotion(self, meter: float) -> float:
        """The next reading of the meter at which a waiting call is promoted; inf if none is."""
        found = bisect_right(self._promotions, meter)
        return self._promotions[found] if found < len(self._promotions) else math.inf
