"""MARS's admission controller: how many sessions may enter (AIMD) and which go first.

Paper: MARS, arXiv 2604.26963, section 4.2, as described: small sessions first, GPU-heavy ones
while the CPU is congested, packed by memory cost while KV is tight; a window that shrinks at once
on either signal and grows slowly. Constants from the preview release, of which the rest is in
`mars-released`.
Differs: memory is reserved for sessions in flight (`reserve`). Nothing ages in the queue: a large
session may wait as long as smaller ones fill the memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.parameters import ours
from marsbench_backends.parts.aimd import AimdWindow
from marsbench_backends.parts.congestion import Congestion, cpu_ratio, kv_usage
from marsbench_backends.parts.ewma import Ewma
from marsbench_backends.parts.footprints import Footprints, cost_blocks
from marsbench_backends.parts.in_turn import in_turn
from marsbench_backends.signals import Signal


@dataclass
class MarsAdmission(Admission):
    """Parameters; [code] is the preview release.

    admission: off lets everyone in (the paper's ablation without the control plane).
    tick_s: the control interval [code]. window_*: sessions in flight [code]; window_add more after
        a calm interval, window_cut times as many after a congested one.
    kv_low, kv_high: share of KV in use at which KV congestion ends and begins [code]. Alike, cpu_*:
        tool calls that burn CPU per core; queue_wait_*: their smoothed seconds of waiting [code].
    reserve: count what sessions in flight will fill as in use; not through reserve_pause_s.
    pack_share: of the free blocks that packing may fill [code]. ewma_weight: of a new sample, too.
    """

    admission: bool = True
    tick_s: float = 0.2
    window_init: int = 30
    window_min: int = 4
    window_max: int = ours(30, 8, 100, why="no size in the paper; its code's launchers: 30 and 8")
    window_add: int = 1
    window_cut: float = 0.7
    kv_low: float = 0.85
    kv_high: float = 0.90
    cpu_low: float = 1.0
    cpu_high: float = ours(2.0, 4.0, why="its code's default; its launcher's 4 cannot be reached")
    queue_wait_low_s: float = 2.0
    queue_wait_high_s: float = 5.0
    ewma_weight: float = 0.2
    reserve: bool = ours(True, False, why="no word on memory of sessions that are let in")
    reserve_pause_s: float = ours(300.0, 2.0, 10.0, why="its code's tools time out then")
    pack_share: float = 0.95
    _window: AimdWindow = field(init=False, repr=False)
    _congestion: Congestion = field(init=False, repr=False)
    _footprints: Footprints = field(init=False, repr=False)

    def __post_init__(self) -> None:
        size = min(max(self.window_init, self.window_min), self.window_max)
        limits = (self.window_min, self.window_max, self.window_add, self.window_cut)
        self._window = AimdWindow(size, *limits, self.tick_s)
        if self.tick_s <= 0:
            raise ValueError(f"tick_s must be more than 0, not {self.tick_s}")
        cpu = (self.cpu_low, self.cpu_high, self.queue_wait_low_s, self.queue_wait_high_s)
        wait_s, self._kv, self._cpu, growth = (Ewma(self.ewma_weight) for _ in range(4))
        self._congestion = Congestion(*cpu, self.kv_low, self.kv_high, wait_s)
        self._footprints = Footprints(growth, self.reserve, self.reserve_pause_s)

    # --- who may enter

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        if not self.admission:
            return [c.session_id for c in waiting]
        chosen = [c.session_id for c, place, fits in self._asked(waiting, state) if place and fits]
        if not chosen and waiting and not state.in_flight:
            return [self._ordered(waiting)[0].session_id]  # or an empty engine would stay empty
        return chosen

    def why_held(self, waiting: Sequence[Candidate], state: EngineState) -> Mapping[str, str]:
        """ "window", or "cut_window" after congestion; "kv", or "reserve" where free blocks do."""
        if not self.admission:
            return {}
        window = "window" if self._window.size == self.window_max else "cut_window"
        free = self._for_new(state, state.free_blocks)

        def lacks(candidate: Candidate) -> str:
            spare = self.reserve and cost_blocks(candidate, state) <= free
            return "reserve" if spare else "kv"

        asked = self._asked(waiting, state)
        return {c.session_id: lacks(c) if place else window for c, place, _ in asked}

    def _asked(
        self, waiting: Sequence[Candidate], state: EngineState
    ) -> Iterator[tuple[Candidate, bool, bool]]:
        slots = self._window.size - len(state.in_flight)
        room = self._for_new(state, self._footprints.unreserved_blocks(state))
        cost = partial(self._footprints.grown_blocks, state=state)
        return in_turn(self._ordered(waiting), cost, slots, room)

    def mode(self, waiting: Sequence[Candidate], state: EngineState) -> str | None:
        return self._mode if self.admission else None

    @property
    def _mode(self) -> str:
        return self._congestion.order

    def _ordered(self, waiting: Sequence[Candidate]) -> list[Candidate]:
        """Packing goes by age: each is let in as soon as its cost fits what is free."""
        if self._mode == "packing":
            return list(waiting)
        sign = -1 if self._mode == "gpu_heavy_first" else 1
        return sorted(waiting, key=lambda c: sign * c.num_prompt_tokens)

    def _for_new(self, state: EngineState, free: int | None) -> float:
        """Of so many blocks those that new sessions may fill; no bound where KV is not measured."""
        if state.num_blocks is None or free is None:
            return math.inf
        if self._congestion.kv_over:
            return max(0.0, self.pack_share * free)
        return max(0, free - math.ceil(state.num_blocks * (1 - self.kv_high)))

    # --- the window

    def tick(self, state: EngineState) -> None:
        intervals = self._window.intervals(state.now)
        self._cpu.add(cpu_ratio(state), intervals)
        if (usage := kv_usage(state)) is not None:
            self._kv.add(usage, intervals)
        cpu, kv = self._cpu.value or 0.0, self._kv.value or 0.0
        self._congestion.sense(cpu, kv)
        room = self._for_new(state, self._footprints.unreserved_blocks(state))
        grows = self._congestion.is_calm(cpu, kv) and room > 0
        self._window.move(self._congestion.any, grows, intervals, self.window_max)

    def observe(self, signal: Signal) -> None:
        self._congestion.observe(signal)
        self._footprints.observe(signal)


@dataclass
class MarsPublishedAdmission(MarsAdmission):
    """MARS as published: the parts that its paper describes, without our memory reservation."""

    reserve: bool = False  # with it, this is `mars`
    reserve_pause_s: float = 300.0
