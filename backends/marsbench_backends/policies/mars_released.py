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

from marsbench_backends.parts.chunks import halved_to_fit
from marsbench_backends.parts.engine_window import EngineWindow
from marsbench_backends.parts.round_levels import RoundLevels
from marsbench_backends.policies.mars_released_admission import MarsReleasedAdmission
from marsbench_backends.policy import Key, Policy, Req, View
from marsbench_backends.signals import Signal, StepEnded


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

    sorts_running = True
    controller = MarsReleasedAdmission

    quanta: tuple[int, ...] = (2_048, 1_024, 512, 256)
    remaining_tokens: tuple[int, ...] = (2_048, 8_192, 32_768)
    bucket_tokens: tuple[int, ...] = (2_048, 8_192, 32_768)
    aging_s: float = 30.0
    engine_window: int = 30
    _levels: RoundLevels = field(init=False, repr=False)
    _window: EngineWindow = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.quanta) != len(self.remaining_tokens) + 1 or min(self.quanta) < 1:
            raise ValueError("quanta must be positive, one more of them than of remaining_tokens")
        if self.engine_window < 1 or self.aging_s <= 0:
            raise ValueError("engine_window must be at least 1, and aging_s more than 0")
        self.max_running = self.engine_window
        self._levels = RoundLevels(self.quanta, self.remaining_tokens, self.aging_s)
        self._window = EngineWindow(self.engine_window)

    # --- order

    def running_key(self, req: Req, view: View) -> Key:
        state = self._levels.state(req)
        served_at = -math.inf if state.served_at is None else state.served_at
        return (self._levels.aged_level(state, view.now), served_at, req.submitted_at)

    def waiting_key(self, req: Req, view: View) -> Key:
        """Bucket, then arrival; preempted rounds first, the latest ahead; overflow behind all."""
        if req.session_id in self._window.overflow:
            return (1, 0, req.position)
        preempted = req.position < 0
        bucket = 0 if preempted else bisect_left(self.bucket_tokens, req.num_prompt_tokens)
        return (0, bucket, req.position)

    def victim(self, running: Sequence[Req], view: View) -> Req:
        """Lowest level, then most blocks, then latest; whoever decodes goes last (L793)."""

        def rank(req: Req) -> Key:
            level = -1 if req.decoding else self._levels.level(self._levels.state(req))
            return (level, req.num_blocks, req.submitted_at)

        return max(running, key=rank)

    # --- chunks

    def chunk(self, req: Req, num_tokens: int, view: View) -> int:
        return min(num_tokens, self._levels.quantum(self._levels.state(req), view.now))

    def shrink(self, req: Req, num_tokens: int, room_tokens: int, view: View) -> int:
        return halved_to_fit(num_tokens, room_tokens, view.block_size)

    def steady_tokens(self, req: Req, view: View) -> float:
        return math.inf if self._levels.is_settled(view.token_budget) else 1

    # --- what happened

    def observe(self, signal: Signal) -> None:
        self._levels.observe(signal)
        self._window.observe(signal)
        self._count()

    def serve(self, step: StepEnded) -> None:
        self._levels.serve(step)
        self._count()

    def _count(self) -> None:
        self.version = self._levels.version + self._window.version
