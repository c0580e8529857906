"""Feedback levels of rounds: demoted by quanta used up, lifted while they get no service.

As in MARS's preview code (MARS_preview, v1/core/sched/scheduler.py), whose lines are named.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from marsbench_backends.policy import Req
from marsbench_backends.signals import (
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    RoundSubmitted,
    SessionEnded,
    Signal,
    StepEnded,
)


@dataclass(slots=True)
class RoundState:
    """left: tokens to compute until it decodes, 1 while it does. served_at: its last step."""

    num_prompt_tokens: int
    left: int
    generated: int = 0
    feedback: int = 0
    served_at: float | None = None


class RoundLevels:
    """The levels of all rounds, by session; 0 goes first.

    quanta: prefill tokens a step by level. edges: prompt tokens left, up to which a round stands on
    level 0, 1, … aging_s: seconds without service that lift by one level.
    version: raised when the level of a round that was served may have changed.
    """

    def __init__(self, quanta: Sequence[int], edges: Sequence[int], aging_s: float) -> None:
        self._quanta = quanta
        self._edges = edges
        self._aging_s = aging_s
        self.rounds: dict[str, RoundState] = {}
        self._running: dict[str, RoundState] = {}
        self._stepped_at = self._stepped_before = -math.inf
        self.version = 0

    def state(self, req: Req) -> RoundState:
        known = self.rounds.get(req.session_id)
        left = req.num_tokens - req.num_computed_tokens
        return known or RoundState(req.num_prompt_tokens, left)

    def level(self, state: RoundState) -> int:
        """Without aging: the worse of what it has used up and what it has left."""
        return max(state.feedback, bisect_left(self._edges, state.left))

    def aged_level(self, state: RoundState, now: float) -> int:
        """0 before the first service, then a level higher for each `aging_s` without service."""
        if state.served_at is None:
            return 0
        idle = max(0.0, now - state.served_at)
        return max(0, self.level(state) - math.floor(idle / self._aging_s))

    def quantum(self, state: RoundState, now: float) -> int:
        return self._quanta[self.aged_level(state, now)]

    def is_settled(self, token_budget: int) -> bool:
        """Whether steps repeat: each prefill stays on the last level and nobody is passed over."""
        prefills = [s for s in self._running.values() if s.left > 1]
        last = len(self._quanta) - 1
        needs = len(self._running) + len(prefills) * self._quanta[last]
        return all(s.feedback == last for s in prefills) and needs <= token_budget

    def observe(self, signal: Signal) -> None:
        session_id = signal.session_id
        match signal:
            case RoundSubmitted():
                tokens = signal.num_prompt_tokens
                self.rounds[session_id] = RoundState(tokens, tokens)
            case RoundStarted() if session_id in self.rounds:
                state = self.rounds[session_id]
                state.left = state.num_prompt_tokens + state.generated - signal.num_cached_tokens
                self._running[session_id] = state
            case RoundPreempted() if session_id in self.rounds:
                self.rounds[session_id].feedback = 0
                self._running.pop(session_id, None)
            case RoundEnded() | SessionEnded():
                self.rounds.pop(session_id, None)
                self._running.pop(session_id, None)

    def serve(self, step: StepEnded) -> None:
        if step.at > self._stepped_at:
            self._stepped_before, self._stepped_at = self._stepped_at, step.at
        for session_id, tokens, _ in step.served:
            if session_id in self.rounds:
                self._served(self.rounds[session_id], tokens, step)

    def _served(self, state: RoundState, tokens: int, step: StepEnded) -> None:
        # Once passed over, it went ahead of its level in this step and will not in the next.
        moved = state.served_at != self._stepped_before
        level = self.level(state)
        self._charge(state, tokens, step.at - step.seconds)
        state.served_at = step.at
        self.version += moved or level != self.level(state)

    def _charge(self, state: RoundState, tokens: int, began: float) -> None:
        """Prefill that used up its quantum demotes; decoding returns to the top (L486)."""
        if tokens < state.left:
            quantum = self.quantum(state, began)
            state.left -= tokens
            if tokens >= quantum:
                state.feedback = min(state.feedback + 1, len(self._quanta) - 1)
        else:
            state.generated += tokens - state.left + 1
            state.left, state.feedback = 1, 0
