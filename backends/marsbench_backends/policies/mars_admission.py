"""MARS's admission controller: how many sessions may enter (AIMD) and which go first.

Paper: MARS, arXiv 2604.26963, section 4.2, as described: small sessions first, GPU-heavy ones
while the CPU is congested, packed by memory cost while KV is tight; a window that shrinks at once
on either signal and grows slowly. Constants from the authors' preview release.
Differs: the preview's static CPU and KV caps, its threshold for long sessions and its rules for
the end of a run are in `mars-released`. Here memory is reserved for sessions in flight, by the
KV demand that the information stream projects for them; nothing ages in the queue, so a large
session may wait as long as smaller ones fill the memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.parts.ewma import Ewma
from marsbench_backends.signals import RoundSubmitted, SessionEnded, Signal, ToolEnded, ToolStarted


@dataclass(slots=True)
class Footprint:
    """A session's tokens of context, at first, now and at most; `paused_at`: since when its tools
    run (inf: not).
    """

    first_tokens: int
    tokens: int
    peak_tokens: int
    is_agent: bool
    paused_at: float = math.inf


@dataclass
class MarsAdmission(Admission):
    """Parameters; [code] is the preview release, [ours] our choice.

    admission: off lets everyone in (the paper's ablation without the control plane).
    tick_s: the control interval [code]. window_*: sessions in flight [code]; window_add more for
        each interval without congestion, window_cut times as many after one with it.
    kv_low, kv_high: share of KV in use at which KV congestion ends and begins [code].
    cpu_low, cpu_high: tool calls that burn CPU per core, alike. [code] launches with 4, which 30
        sessions on 8 cores cannot reach; its own default is 2.
    queue_wait_low_s, queue_wait_high_s: smoothed seconds that tool calls wait to start [code].
    ewma_weight: of a new sample of any signal [code].
    reserve: count the projected context of every session in flight as memory in use, whether it
        is filled yet or lies in the cache during a tool call: its first prompt, grown as those of
        ended sessions were at their peak [ours, docs/policies/mars.md]. Off: what is
        free is free.
    reserve_pause_s: but not through a longer pause: it is a person's [code: tools time out then].
    pack_share: of the free blocks that packing may fill [code: its last phase].
    """

    admission: bool = True
    tick_s: float = 0.2
    window_init: int = 30
    window_min: int = 4
    window_max: int = 30
    window_add: int = 1
    window_cut: float = 0.7
    kv_low: float = 0.85
    kv_high: float = 0.90
    cpu_low: float = 1.0
    cpu_high: float = 2.0
    queue_wait_low_s: float = 2.0
    queue_wait_high_s: float = 5.0
    ewma_weight: float = 0.2
    reserve: bool = True
    reserve_pause_s: float = 300.0
    pack_share: float = 0.95
    window: int = field(init=False)
    cpu_over: bool = field(default=False, init=False)
    kv_over: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.window_min <= self.window_max:
            raise ValueError(f"window_min {self.window_min} must be in 1..{self.window_max}")
        if self.tick_s <= 0:
            raise ValueError(f"tick_s must be more than 0, not {self.tick_s}")
        self.window = min(max(self.window_init, self.window_min), self.window_max)
        self._kv = Ewma(self.ewma_weight)
        self._cpu = Ewma(self.ewma_weight)
        self._queue_wait_s = Ewma(self.ewma_weight)
        self._growth = Ewma(self.ewma_weight)
        self._footprints: dict[str, Footprint] = {}
        self._ticked_at: float | None = None

    # --- who may enter

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        if not self.admission:
            return [c.session_id for c in waiting]
        queue = self._ordered(waiting)
        chosen = [c.session_id for c, cost, slots, room in self._asked(queue, state)
                  if slots > 0 and cost <= room]  # fmt: skip
        if not chosen and queue and not state.in_flight:
            return [queue[0].session_id]  # an empty engine takes anyone, or it would stay empty
        return chosen

    def why_held(self, waiting: Sequence[Candidate], state: EngineState) -> Mapping[str, str]:
        """ "window", or "cut_window" after congestion; "kv", or "reserve" where what is free alone
        would have held it.
        """
        if not self.admission:
            return {}
        window = "window" if self.window == self.window_max else "cut_window"
        free = self._for_new(state, state.free_blocks)

        def lacks(candidate: Candidate) -> str:
            spare = self.reserve and cost_blocks(candidate, state) <= free
            return "reserve" if spare else "kv"

        asked = self._asked(self._ordered(waiting), state)
        return {c.session_id: window if slots <= 0 else lacks(c) for c, _, slots, _ in asked}

    def _asked(
        self, queue: Sequence[Candidate], state: EngineState
    ) -> Iterator[tuple[Candidate, int, int, float]]:
        """Each with its cost and what those before it left: places and blocks."""
        slots, room = self.window - len(state.in_flight), self._budget_blocks(state)
        for candidate in queue:
            cost = self._cost_blocks(candidate, state)
            yield candidate, cost, slots, room
            if slots > 0 and cost <= room:
                slots, room = slots - 1, room - cost

    @property
    def _mode(self) -> str:
        """The order of admission now."""
        if self.kv_over:
            return "packing"
        return "gpu_heavy_first" if self.cpu_over else "small_first"

    def _ordered(self, waiting: Sequence[Candidate]) -> list[Candidate]:
        """Packing goes by age: each is let in as soon as its cost fits what is free."""
        if self._mode == "packing":
            return list(waiting)
        sign = -1 if self._mode == "gpu_heavy_first" else 1
        return sorted(waiting, key=lambda c: sign * c.num_prompt_tokens)

    def _budget_blocks(self, state: EngineState) -> float:
        """Blocks that new sessions may fill; no bound where KV is not measured."""
        free = state.free_blocks
        if self.reserve and free is not None and state.num_blocks is not None:
            free = min(free, state.num_blocks - self._reserved_blocks(state))
        return self._for_new(state, free)

    def _for_new(self, state: EngineState, free: int | None) -> float:
        """Of so many blocks those that new sessions may fill."""
        if state.num_blocks is None or free is None:
            return math.inf
        if self.kv_over:
            return max(0.0, self.pack_share * free)
        return max(0, free - math.ceil(state.num_blocks * (1 - self.kv_high)))

    def _cost_blocks(self, candidate: Candidate, state: EngineState) -> int:
        """Blocks that a session will fill: its first prompt's, grown as those that ended had."""
        growth = (self._growth.value or 1.0) if self.reserve else 1.0
        return math.ceil(cost_blocks(candidate, state) * growth)

    def _reserved_blocks(self, state: EngineState) -> int:
        """Blocks of all sessions in flight and of their sub-agents, filled yet or not."""
        since = state.now - self.reserve_pause_s
        blocks = {c.session_id: self._cost_blocks(c, state) for c in state.in_flight}
        for session_id, known in self._footprints.items():
            filled = -(-known.tokens // state.block_size)
            kept = known.paused_at > since
            blocks[session_id] = max(blocks.get(session_id, 0), filled) if kept else 0
        return sum(blocks.values())

    # --- the window

    def tick(self, state: EngineState) -> None:
        """Nobody waited since an earlier tick: the intervals between count as like this one."""
        intervals = self._intervals(state.now)
        self._sense(state, intervals)
        if self.cpu_over or self.kv_over:
            self.window = max(self.window_min, math.floor(self.window_cut * self.window))
        elif self._calm and self._budget_blocks(state) > 0:
            self.window = min(self.window_max, self.window + self.window_add * intervals)

    def observe(self, signal: Signal) -> None:
        match signal:
            case ToolEnded() if signal.queued_s is not None:
                self._queue_wait_s.add(signal.queued_s)
            case ToolStarted() if signal.session_id in self._footprints:
                known = self._footprints[signal.session_id]
                known.paused_at = min(known.paused_at, signal.at)
            case RoundSubmitted(_, session_id, _, tokens, parent_id):
                new = Footprint(tokens, tokens, tokens, parent_id is not None)
                known = self._footprints.setdefault(session_id, new)
                known.tokens, known.paused_at = tokens, math.inf
                # A context that is compacted must fit before that: the peak is what it needs.
                known.peak_tokens = max(known.peak_tokens, tokens)
            case SessionEnded() if signal.session_id in self._footprints:
                known = self._footprints.pop(signal.session_id)
                if not known.is_agent:
                    self._growth.add(known.peak_tokens / known.first_tokens)

    def _intervals(self, now: float) -> int:
        before, self._ticked_at = self._ticked_at, now
        return 1 if before is None else max(1, round((now - before) / self.tick_s))

    def _sense(self, state: EngineState, intervals: int) -> None:
        self._cpu.add(state.num_cpu_calls / state.tool_cores, intervals)
        wait = self._queue_wait_s.value or 0.0
        ratio = self._cpu.value or 0.0
        if ratio >= self.cpu_high or wait >= self.queue_wait_high_s:
            self.cpu_over = True
        elif ratio <= self.cpu_low and wait <= self.queue_wait_low_s:
            self.cpu_over = False
        if state.num_blocks is not None and state.free_blocks is not None:
            self._kv.add(1.0 - state.free_blocks / state.num_blocks, intervals)
        usage = self._kv.value or 0.0
        self.kv_over = usage > self.kv_low if self.kv_over else usage >= self.kv_high

    @property
    def _calm(self) -> bool:
        """Neither signal in its band between low and high, where the window holds."""
        cpu, kv, wait = (e.value or 0.0 for e in (self._cpu, self._kv, self._queue_wait_s))
        return cpu <= self.cpu_low and kv <= self.kv_low and wait <= self.queue_wait_low_s


def cost_blocks(candidate: Candidate, state: EngineState) -> int:
    """A session's memory cost: the blocks of its first prompt [code]."""
    return -(-candidate.num_prompt_tokens // state.block_size)
