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
from marsbench_backends.parts.ewma import Ewma
from marsbench_backends.policies.mars_admission import cost_blocks
from marsbench_backends.signals import SessionEnded, Signal, ToolEnded


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
    window_max: int = 30
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
    long_max: int = 2
    long_quiet_s: float = 5.0
    tail_share: float = 0.95
    blind_max: int = 2
    window: int = field(init=False)
    cpu_over: bool = field(default=False, init=False)
    kv_over: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.window_min <= self.window_max:
            raise ValueError(f"window_min {self.window_min} must be in 1..{self.window_max}")
        if not 0 <= self.kv_low < self.kv_high <= 1:
            raise ValueError(f"kv_low {self.kv_low} must be below kv_high {self.kv_high}")
        self.window = self.window_init
        self._queue_wait_s = Ewma(self.ewma_weight)
        self._ticked_at: float | None = None
        self._short_seen_at = -math.inf
        self._shorts_known: frozenset[str] = frozenset()

    # --- signals

    def _kv_usage(self, state: EngineState) -> float:
        if not state.num_blocks or state.free_blocks is None:
            return 0.0
        return 1.0 - state.free_blocks / state.num_blocks

    def _kv_cap(self, state: EngineState) -> int:
        """Sessions that KV allows: all of them up to kv_low, the minimum from kv_high on."""
        share = (self._kv_usage(state) - self.kv_low) / (self.kv_high - self.kv_low)
        span = self.window_max - self.window_min
        return self.window_max - math.floor(span * min(1.0, max(0.0, share)))

    def _cpu_cap(self, state: EngineState) -> int:
        """Sessions that the tool workers allow: the middle of the band."""
        cap = math.ceil(state.tool_cores * (self.cpu_low + self.cpu_high) / 2)
        return min(self.window_max, max(self.window_min, cap))

    def _slots(self, state: EngineState) -> int:
        cap = min(self.window, self._cpu_cap(state), self._kv_cap(state))
        return cap - len(state.in_flight)

    def _budget_blocks(self, state: EngineState) -> int | None:
        """Free blocks less a reserve; None (no check) where no block is free, as in the code."""
        if state.num_blocks is None or not state.free_blocks:
            return None
        return max(0, state.free_blocks - math.ceil(state.num_blocks * (1 - self.kv_high)))

    def _cpu_healthy(self, state: EngineState) -> bool:
        ratio = state.num_cpu_calls / state.tool_cores
        return ratio <= self.cpu_low and (self._queue_wait_s.value or 0.0) <= self.queue_wait_low_s

    def _calm(self, state: EngineState) -> bool:
        """Whether the window may grow."""
        over = self.cpu_over or self.kv_over or self._kv_usage(state) > self.kv_low
        return not over and self._cpu_healthy(state) and bool(self._budget_blocks(state))

    # --- who may enter

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        mode = self._mode(waiting, state)
        if mode == "tail_kv_drain_fit":
            return self._drain_tail(waiting, state)
        queue = self._ordered(mode, waiting)
        if mode == "no_kv_short_only":
            room = max(0, self.blind_max - len(state.in_flight))
            return [c.session_id for c in queue[:room]]
        chosen = self._fill(mode, queue, state)
        if not chosen and queue and not state.in_flight:
            chosen = queue[:1]
        return [c.session_id for c in chosen]

    def _mode(self, waiting: Sequence[Candidate], state: EngineState) -> str:
        """Which of the orders applies to this call."""
        if state.free_blocks is None:
            return "no_kv_short_only"
        if state.arrivals_over and waiting and all(self._is_long(c) for c in waiting):
            return "tail_kv_drain_fit"
        if self.cpu_over:
            return "cpu_overloaded_long_first"
        if self._calm(state) and len(waiting) <= self._slots(state):
            return "low_pressure_fcfs"
        return "short_first"

    def _ordered(self, mode: str, waiting: Sequence[Candidate]) -> list[Candidate]:
        if mode == "low_pressure_fcfs":
            return list(waiting)
        if mode == "no_kv_short_only":
            return [c for c in waiting if not self._is_long(c)]
        sign = -1 if mode == "cpu_overloaded_long_first" else 1
        return sorted(waiting, key=lambda c: sign * c.num_prompt_tokens)

    def _is_long(self, candidate: Candidate) -> bool:
        return candidate.num_prompt_tokens >= self.long_tokens

    def _fill(self, mode: str, queue: Sequence[Candidate], state: EngineState) -> list[Candidate]:
        """In order, passing over whoever does not fit; long sessions need an opening of theirs."""
        slots, room = self._slots(state), self._budget_blocks(state)
        longs = sum(self._is_long(c) for c in state.in_flight)
        opening = mode == "cpu_overloaded_long_first" or self._needle(queue, state)
        chosen: list[Candidate] = []
        for candidate in queue:
            cost, long = cost_blocks(candidate, state), self._is_long(candidate)
            barred = long and (not opening or longs >= self.long_max)
            if len(chosen) >= slots or barred or (room is not None and cost > room):
                continue
            chosen.append(candidate)
            longs += long
            room = None if room is None else room - cost
        return chosen

    def _needle(self, queue: Sequence[Candidate], state: EngineState) -> bool:
        """Whether a long session may be inserted: no short one waits or has just waited."""
        if self.kv_over or not all(self._is_long(c) for c in queue):
            return False
        return not state.in_flight or state.now - self._short_seen_at >= self.long_quiet_s

    def _drain_tail(self, waiting: Sequence[Candidate], state: EngineState) -> list[str]:
        """Only long sessions are left: by age, as many as free blocks hold; no window."""
        longs = [c for c in state.in_flight if self._is_long(c)]
        filled = sum(cost_blocks(c, state) for c in longs)
        room = self.tail_share * (state.free_blocks or 0)
        slots = self.window_max - len(state.in_flight)
        if len(longs) < len(state.in_flight):
            slots = min(slots, 1)
        chosen: list[str] = []
        for candidate in waiting:
            cost = cost_blocks(candidate, state)
            if len(chosen) < slots and filled + cost <= room:
                chosen.append(candidate.session_id)
                filled += cost
        if not chosen and not longs:
            return [waiting[0].session_id]
        return chosen

    # --- the window

    def tick(self, state: EngineState) -> None:
        """Nobody waited since an earlier tick: the intervals between count as like this one."""
        before, self._ticked_at = self._ticked_at, state.now
        intervals = 1 if before is None else max(1, round((state.now - before) / self.tick_s))
        self._sense(state)
        if self.cpu_over or self.kv_over:
            self.window = math.floor(self.window_cut * self.window)
        elif self._calm(state):
            self.window += self.window_add * intervals
        cap = min(self.window_max, self._cpu_cap(state), self._kv_cap(state))
        self.window = min(max(self.window, self.window_min), cap)

    def observe(self, signal: Signal) -> None:
        match signal:
            case ToolEnded() if signal.queued_s is not None:
                self._queue_wait_s.add(signal.queued_s)
            case SessionEnded():
                self._shorts_known -= {signal.session_id}

    def _sense(self, state: EngineState) -> None:
        ratio, wait = state.num_cpu_calls / state.tool_cores, self._queue_wait_s.value or 0.0
        if ratio >= self.cpu_high or wait >= self.queue_wait_high_s:
            self.cpu_over = True
        elif self._cpu_healthy(state):
            self.cpu_over = False
        usage = self._kv_usage(state)
        self.kv_over = usage > self.kv_low if self.kv_over else usage >= self.kv_high
        shorts = frozenset(c.session_id for c in state.in_flight if not self._is_long(c))
        if shorts - self._shorts_known:
            self._short_seen_at = state.now
        self._shorts_known = shorts
