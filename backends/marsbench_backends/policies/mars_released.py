"""MARS as released: feedback levels for each round, prefill cut to its level's quantum, no pins.

Source: the authors' preview code (Afterglow231/MARS_preview, June 2026, a fork of vLLM 0.10.2),
v1/core/sched/{scheduler,request_queue}.py, for the paper arXiv 2604.26963; facts in
docs/policies/mars-released.md. Levels are of rounds, not of sessions as the paper has them
(`mars`).
Differs: a round that was preempted while it decoded keeps no trace of it: its level is that of
what it must recompute. Quanta above the step budget are not cut to it, so they never demote.
Not modelled: the switches that the preview's launcher leaves off; it has no pins.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from marsbench_backends.admission import Admission
from marsbench_backends.parts.chunks import halved_to_fit
from marsbench_backends.policies.mars_released_admission import MarsReleasedAdmission
from marsbench_backends.policy import Key, Policy, Req, View
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


@dataclass
class MarsReleased(Policy):
    """Parameters, with the line of scheduler.py or request_queue.py that has the value.

    quanta: prefill tokens a step by level, the highest first (L143); one that is used up with
        work left demotes (L486).
    remaining_tokens: prompt tokens left, up to which a round stands on level 0, 1, 2 (L417).
    bucket_tokens: the same edges for the full prompt of a waiting round (request_queue.py).
    aging_s: seconds without service that lift by one level (L144); the wait before the first
        service counts as enough for level 0 (L437).
    engine_window: rounds running or waiting inside the engine; others queue first come, first
        served (L146).
    """

    sorts_running: ClassVar[bool] = True
    controller: ClassVar[type[Admission]] = MarsReleasedAdmission

    quanta: tuple[int, ...] = (2_048, 1_024, 512, 256)
    remaining_tokens: tuple[int, ...] = (2_048, 8_192, 32_768)
    bucket_tokens: tuple[int, ...] = (2_048, 8_192, 32_768)
    aging_s: float = 30.0
    engine_window: int = 30
    _rounds: dict[str, RoundState] = field(default_factory=dict, init=False, repr=False)
    _running: dict[str, RoundState] = field(default_factory=dict, init=False, repr=False)
    _inside: set[str] = field(default_factory=set, init=False, repr=False)
    _overflow: dict[str, None] = field(default_factory=dict, init=False, repr=False)
    _stepped_at: float = field(default=-math.inf, init=False, repr=False)
    _stepped_before: float = field(default=-math.inf, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.quanta) != len(self.remaining_tokens) + 1 or min(self.quanta) < 1:
            raise ValueError("quanta must be positive, one more of them than of remaining_tokens")
        if self.engine_window < 1 or self.aging_s <= 0:
            raise ValueError("engine_window must be at least 1, and aging_s more than 0")
        self.max_running = self.engine_window

    # --- levels

    def _level(self, state: RoundState) -> int:
        """Without aging: the worse of what it has used up and what it has left."""
        return max(state.feedback, self._remaining_level(state.left))

    def _aged_level(self, state: RoundState, now: float) -> int:
        """0 before the first service, then a level higher for each `aging_s` without service."""
        if state.served_at is None:
            return 0
        idle = max(0.0, now - state.served_at)
        return max(0, self._level(state) - math.floor(idle / self.aging_s))

    def _remaining_level(self, left: int) -> int:
        return bisect_left(self.remaining_tokens, left)

    def _state(self, req: Req) -> RoundState:
        known = self._rounds.get(req.session_id)
        left = req.num_tokens - req.num_computed_tokens
        return known or RoundState(req.num_prompt_tokens, left)

    # --- order

    def running_key(self, req: Req, view: View) -> Key:
        state = self._state(req)
        served_at = -math.inf if state.served_at is None else state.served_at
        return (self._aged_level(state, view.now), served_at, req.submitted_at)

    def waiting_key(self, req: Req, view: View) -> Key:
        """Bucket, then arrival; preempted rounds first, the latest ahead; overflow behind all."""
        if req.session_id in self._overflow:
            return (1, 0, req.position)
        preempted = req.position < 0
        bucket = 0 if preempted else bisect_left(self.bucket_tokens, req.num_prompt_tokens)
        return (0, bucket, req.position)

    def victim(self, running: Sequence[Req], view: View) -> Req:
        """Lowest level, then most blocks, then latest; whoever decodes goes last (L793)."""

        def rank(req: Req) -> Key:
            level = -1 if req.decoding else self._level(self._state(req))
            return (level, req.num_blocks, req.submitted_at)

        return max(running, key=rank)

    # --- chunks

    def chunk(self, req: Req, num_tokens: int, view: View) -> int:
        return min(num_tokens, self.quanta[self._aged_level(self._state(req), view.now)])

    def shrink(self, req: Req, num_tokens: int, room_tokens: int, view: View) -> int:
        return halved_to_fit(num_tokens, room_tokens, view.block_size)

    def steady_tokens(self, req: Req, view: View) -> float:
        """Steps repeat while each prefill stays on the last level and nobody is passed over."""
        prefills = [s for s in self._running.values() if s.left > 1]
        last = len(self.quanta) - 1
        needs = len(self._running) + len(prefills) * self.quanta[last]
        settled = all(s.feedback == last for s in prefills) and needs <= view.token_budget
        return math.inf if settled else 1

    # --- what happened

    def observe(self, signal: Signal) -> None:
        session_id = signal.session_id
        match signal:
            case RoundSubmitted():
                tokens = signal.num_prompt_tokens
                self._rounds[session_id] = RoundState(tokens, tokens)
                self._enter(session_id)
            case RoundStarted() if session_id in self._rounds:
                self._begin(self._rounds[session_id], session_id, signal.num_cached_tokens)
            case RoundPreempted() if session_id in self._rounds:
                self._rounds[session_id].feedback = 0
                self._running.pop(session_id, None)
            case RoundEnded() | SessionEnded():
                self._rounds.pop(session_id, None)
                self._running.pop(session_id, None)
                self._leave(session_id)

    def _begin(self, state: RoundState, session_id: str, num_cached_tokens: int) -> None:
        state.left = state.num_prompt_tokens + state.generated - num_cached_tokens
        self._running[session_id] = state

    def serve(self, step: StepEnded) -> None:
        if step.at > self._stepped_at:
            self._stepped_before, self._stepped_at = self._stepped_at, step.at
        for session_id, tokens, _ in step.served:
            if session_id in self._rounds:
                self._served(self._rounds[session_id], tokens, step)

    def _served(self, state: RoundState, tokens: int, step: StepEnded) -> None:
        # Once passed over, it went ahead of its level in this step and will not in the next.
        moved = state.served_at != self._stepped_before
        level = self._level(state)
        self._charge(state, tokens, step.at - step.seconds)
        state.served_at = step.at
        self.version += moved or level != self._level(state)

    def _charge(self, state: RoundState, tokens: int, began: float) -> None:
        """Prefill that used up its quantum demotes; decoding returns to the top (L486)."""
        if tokens < state.left:
            quantum = self.quanta[self._aged_level(state, began)]
            state.left -= tokens
            if tokens >= quantum:
                state.feedback = min(state.feedback + 1, len(self.quanta) - 1)
        else:
            state.generated += tokens - state.left + 1
            state.left, state.feedback = 1, 0

    # --- the engine-side window

    def _enter(self, session_id: str) -> None:
        if len(self._inside) < self.engine_window:
            self._inside.add(session_id)
        else:
            self._overflow[session_id] = None

    def _leave(self, session_id: str) -> None:
        self._overflow.pop(session_id, None)
        self._inside.discard(session_id)
        if self._overflow and len(self._inside) < self.engine_window:
            following = next(iter(self._overflow))
            del self._overflow[following]
            self._inside.add(following)
            self.version += 1
