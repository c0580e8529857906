"""MARS's admission controller as released: a window, two static caps and five orders.

Source: the authors' preview code (Afterglow231/MARS_preview, June 2026),
experiments/replay/vllm_tool_baseline/run_experiment.py, `_fill_active_mars` (L1958-2560), with the
constants of its launcher (run_baseline_continuum.sh); facts in docs/policies/mars-released.md.
Differs: the quiet spell before a long session counts from the last short one seen to enter, and an
engine with nobody in flight takes the first in order even if it exceeds the budget, since a small
KV cache could otherwise stay empty for ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.parameters import varied
from marsbench_backends.parts.aimd import AimdWindow
from marsbench_backends.parts.congestion import Congestion, cpu_ratio, kv_usage
from marsbench_backends.parts.ewma import Ewma
from marsbench_backends.parts.long_sessions import LongSessions
from marsbench_backends.signals import Signal


@dataclass
class MarsReleasedAdmission(Admission):
    """Parameters, all of them the replay launcher's.

    tick_s: the control interval. window_*: sessions in flight; window_max is also the hard cap.
    kv_low, kv_high: share of KV in use at which growth stops, and congestion begins.
    cpu_low, cpu_high: tool calls that burn CPU per worker, alike.
    queue_wait_low_s, queue_wait_high_s: smoothed seconds that tool calls wait, alike.
    long_tokens: first prompts from here on are long sessions. long_max: so many of them in flight.
    long_quiet_s: seconds without a queued short session before a long one is inserted
        (max(0.2, min(5, 1/rate)) at the launcher's 0.2 sessions a second).
    tail_share: of the free blocks that long sessions may fill once only they are left.
    blind_max: short sessions in flight where KV is not measured (OpenHands).
    """

    tick_s: float = 0.2
    window_init: int = 30
    window_min: int = 4
    window_max: int = varied(30, 8, 100, why="the launcher's; that for OpenHands has 8")
    window_add: int = 1
    window_cut: float = 0.7
    kv_low: float = 0.85
    kv_high: float = 0.90
    cpu_low: float = 1.0
    cpu_high: float = 4.0
    queue_wait_low_s: float = 2.0
    queue_wait_high_s: float = 5.0
    ewma_weight: float = 0.2
    long_tokens: int = 50_000
    long_max: int = varied(2, 1, 8, why="a constant of the code; with OpenHands 1")
    long_quiet_s: float = 5.0
    tail_share: float = 0.95
    blind_max: int = 2
    _window: AimdWindow = field(init=False, repr=False)
    _congestion: Congestion = field(init=False, repr=False)
    _long: LongSessions = field(init=False, repr=False)

    def __post_init__(self) -> None:
        limits = (self.window_min, self.window_max, self.window_add, self.window_cut)
        self._window = AimdWindow(self.window_init, *limits, self.tick_s)
        if not 0 <= self.kv_low < self.kv_high <= 1:
            raise ValueError(f"kv_low {self.kv_low} must be below kv_high {self.kv_high}")
        cpu = (self.cpu_low, self.cpu_high, self.queue_wait_low_s, self.queue_wait_high_s)
        self._congestion = Congestion(*cpu, self.kv_low, self.kv_high, Ewma(self.ewma_weight))
        self._long = LongSessions(
            self.long_tokens, self.long_max, self.long_quiet_s, self.tail_share
        )

    def _cap(self, state: EngineState) -> int:
        """The lower of the static caps."""
        limits = (self.window_min, self.window_max)
        seen = self._congestion
        return min(seen.cpu_cap(state, *limits), seen.kv_cap(state, *limits))

    def _slots(self, state: EngineState) -> int:
        return min(self._window.size, self._cap(state)) - len(state.in_flight)

    def _budget_blocks(self, state: EngineState) -> int | None:
        """Free blocks less a reserve; None (no check) where no block is free, as in the code."""
        if state.num_blocks is None or not state.free_blocks:
            return None
        return max(0, state.free_blocks - math.ceil(state.num_blocks * (1 - self.kv_high)))

    def _calm(self, state: EngineState) -> bool:
        """Whether the window may grow."""
        is_calm = self._congestion.is_calm(cpu_ratio(state), kv_usage(state) or 0.0)
        return is_calm and bool(self._budget_blocks(state))

    # --- who may enter

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        mode = self._mode(waiting, state)
        if mode == "tail_kv_drain_fit":
            return self._long.drain(waiting, state, self.window_max)
        queue = self._ordered(mode, waiting)
        if mode == "no_kv_short_only":
            room = max(0, self.blind_max - len(state.in_flight))
            return [c.session_id for c in queue[:room]]
        chosen = self._fill(mode, queue, state)
        if not chosen and queue and not state.in_flight:
            chosen = queue[:1]
        return [c.session_id for c in chosen]

    def mode(self, waiting: Sequence[Candidate], state: EngineState) -> str | None:
        return self._mode(waiting, state)

    def _mode(self, waiting: Sequence[Candidate], state: EngineState) -> str:
        """Which of the orders applies to this call."""
        if state.free_blocks is None:
            return "no_kv_short_only"
        if state.arrivals_over and waiting and self._long.are_all(waiting):
            return "tail_kv_drain_fit"
        if self._congestion.cpu_over:
            return "cpu_overloaded_long_first"
        if self._calm(state) and len(waiting) <= self._slots(state):
            return "low_pressure_fcfs"
        return "short_first"

    def _ordered(self, mode: str, waiting: Sequence[Candidate]) -> list[Candidate]:
        if mode == "low_pressure_fcfs":
            return list(waiting)
        if mode == "no_kv_short_only":
            return [c for c in waiting if not self._long.is_long(c)]
        sign = -1 if mode == "cpu_overloaded_long_first" else 1
        return sorted(waiting, key=lambda c: sign * c.num_prompt_tokens)

    def _fill(self, mode: str, queue: Sequence[Candidate], state: EngineState) -> list[Candidate]:
        """Long sessions are inserted where no short one waits or has just entered."""
        needle = not self._congestion.kv_over and self._long.are_all(queue)
        opens = needle and self._long.is_quiet(state)
        opens = opens or mode == "cpu_overloaded_long_first"
        return self._long.fill(queue, state, self._slots(state), self._budget_blocks(state), opens)

    # --- the window

    def tick(self, state: EngineState) -> None:
        intervals = self._window.intervals(state.now)
        self._congestion.sense(cpu_ratio(state), kv_usage(state) or 0.0)
        self._long.look(state)
        self._window.move(self._congestion.any, self._calm(state), intervals, self._cap(state))

    def observe(self, signal: Signal) -> None:
        self._congestion.observe(signal)
        self._long.observe(signal)
