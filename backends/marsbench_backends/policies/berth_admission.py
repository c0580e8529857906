"""Berth's admission: a session gets in while there is a place for it, and while it can be good.

No paper's: ours (docs/policies/berth.md). Memory: a session that is away needs no GPU memory, so
it counts at its peak times the share of its life in which it computes, learned from the rounds and
pauses of all; less where less than all count for is measured in use. Cores: the tool calls that
sessions in flight burn CPU with are expected to keep all cores busy and no more. Who has waited so
long that it cannot end within alpha times a typical session's time alone goes last; who has waited
far longer goes first, so that nobody is overtaken for ever.
Not modelled: how much a session will generate; what sub-agents need; cores of each tool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.parameters import ours
from marsbench_backends.parts.duty import Duty
from marsbench_backends.parts.shares import Shares
from marsbench_backends.signals import Signal

OURS = "no paper; tuned on worlds that the map does not have"


@dataclass
class BerthAdmission(Admission):
    """memory, cpu, give_up: off for the ablation without that part.

    fill: of the KV cache, what sessions in flight may need on average; one more may pass it.
    kept: of the use that was measured a tick ago, what still counts.
    stretch: how much longer a round takes among others; `fast`: the quantile of rounds that is
        taken for one alone.
    call_cores: cores that a tool call is taken to use, of those that burn CPU.
    alpha: of the goodput that counts; margin: times its time alone that a session takes once it is
        in. overdue: after so many times a typical session's time alone one goes first.
    shares: of memory, by tenant, as "a=2,b=1"; others have 1. Empty: tenants are not told apart.
    """

    memory: bool = True
    cpu: bool = True
    give_up: bool = True
    fill: float = ours(0.67, 0.5, 1.0, why=OURS)
    kept: float = ours(0.99, 0.9, 0.999, why="no paper; minutes of ticks")
    stretch: float = ours(1.5, 1.0, 2.0, why=OURS)
    fast: float = ours(0.25, 0.1, 0.5, why=OURS)
    call_cores: float = ours(3.0, 1.0, 8.0, why="no paper; builds and tests take 4 to 8")
    alpha: float = 3.0
    margin: float = ours(2.4, 1.6, 2.8, why=OURS)
    overdue: float = ours(6.0, 3.0, 20.0, why="no paper; a bound, far beyond what is good")
    shares: str = ""
    tick_s: float = 1.0
    _duty: Duty = field(init=False, repr=False)
    _shares: Shares = field(init=False, repr=False)
    _counted: float = field(default=0.0, init=False, repr=False)
    _in_use: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("fill", "stretch", "call_cores", "alpha", "margin", "overdue", "tick_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
        for name in ("fast", "kept"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1")
        self._duty = Duty(self.fast)
        self._shares = Shares(self.shares)

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        room, calls = self._room(state)
        chosen: list[str] = []
        for candidate in sorted(waiting, key=self._order(state)):
            fits = room > 0 and self._duty.calls_each <= calls
            if not fits and (state.in_flight or chosen):
                break
            chosen.append(candidate.session_id)
            room, calls = room - self._needed(candidate), calls - self._duty.calls_each
        return chosen

    def why_held(self, waiting: Sequence[Candidate], state: EngineState) -> Mapping[str, str]:
        """ "kv", "cpu", or "behind" those who are let in now."""
        room, calls = self._room(state)
        lacks = "cpu" if self._duty.calls_each > calls else "behind" if room > 0 else "kv"
        return {c.session_id: lacks for c in waiting}

    def tick(self, state: EngineState) -> None:
        """What all inside count for, and what of the KV cache is in use: sums that fade."""
        if state.num_blocks is None or state.free_blocks is None:
            return
        in_use = (state.num_blocks - state.free_blocks) * state.block_size
        self._in_use = self.kept * self._in_use + in_use
        self._counted = self.kept * self._counted + self._needed_inside(state)

    def observe(self, signal: Signal) -> None:
        self._duty.observe(signal)

    def _room(self, state: EngineState) -> tuple[float, float]:
        """Tokens of the KV cache, and tool calls, that are left for new sessions."""
        tokens = calls = math.inf
        if self.memory and state.num_blocks is not None:
            capacity = self.fill * state.num_blocks * state.block_size
            tokens = capacity / self._worth - self._needed_inside(state)
        if self.cpu:
            calls = state.tool_cores / self.call_cores
            calls -= self._duty.calls_each * len(state.in_flight)
        return tokens, calls

    @property
    def _worth(self) -> float:
        """Tokens in use of one counted, at most 1: contexts stay where nobody needs the room."""
        if not 0 < self._in_use < self._counted:
            return 1.0
        return self._in_use / self._counted

    def _needed_inside(self, state: EngineState) -> float:
        return math.fsum(self._needed(c) for c in state.in_flight)

    def _needed(self, candidate: Candidate) -> float:
        """Tokens of GPU memory, on average over its life; the peak before anything is known."""
        peak = self._duty.peak_tokens(candidate.session_id, candidate.num_prompt_tokens)
        if self._duty.round_s is None:
            return peak
        busy_s = self.stretch * self._duty.round_s
        return peak * busy_s / (busy_s + self._duty.pause_s)

    def _order(self, state: EngineState) -> Callable[[Candidate], tuple[float, ...]]:
        """Who is overdue, who can still be good, the rest; by shares, and by arrival."""
        alone_s = self._duty.alone_s
        taken = self._shares.taken((c.tenant, self._needed(c)) for c in state.in_flight)

        def rank(candidate: Candidate) -> tuple[float, ...]:
            waited_s = state.now - candidate.arrived_at
            place = 1.0
            if alone_s is not None and self.give_up:
                is_lost = waited_s > (self.alpha - self.margin) * alone_s
                is_overdue = waited_s > self.overdue * alone_s
                place = 0.0 if is_overdue else 1.0 + is_lost
            return (place, taken.get(candidate.tenant, 0.0), candidate.arrived_at)

        return rank
