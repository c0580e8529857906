"""ThunderAgent: whole programs are paused between two rounds so that those that go on fit.

Paper: arXiv 2602.13692; its code (ThunderAgent-org/ThunderAgent, a7eef77), scheduler/router.py and
backend/state.py. A program reasons while a request of it is open and acts in between. Each active
one takes its context (times `acting_weight` while it acts) and `buffer_tokens`. A new program
enters if it fits and nobody is paused; one that is active is not asked again. Every `interval_s`
the paused that fit together resume: those that wait with a request, new ones, those that act, the
smallest first; then, over capacity, acting programs are paused, the smallest first, and if that is
not enough all reasoning ones when their answer is complete (the code marks all: a mark frees
nothing yet). A request waits for `force_s` at most. The engine serves in its own order.
Differs: contexts are in tokens, not estimated from characters, and grow when a round is answered.
Its shared tokens are left out: the code has them, and never reads them from the engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from marsbench_backends.exact import exp, log
from marsbench_backends.parameters import varied
from marsbench_backends.parts.programs import PausableProgram, PausablePrograms
from marsbench_backends.parts.review import last_review, next_review
from marsbench_backends.policy import Key, Policy, Req, View
from marsbench_backends.signals import (
    EngineStarted,
    RoundEnded,
    RoundSubmitted,
    SessionEnded,
    Signal,
)


@dataclass
class ThunderAgent(Policy):
    """interval_s: seconds between two checks. acting_weight: of a context while its program acts.

    acting_decay: whether an acting context counts 2^-t times, t seconds on, when others resume.
    buffer_tokens: of each active program. force_s: the longest that a request is held back.
    """

    interval_s: float = varied(5.0, 1.0, 15.0, why="its default, for longer rounds than ours")
    acting_weight: float = varied(1.0, 0.5, why="its default; a setting of its command line")
    acting_decay: bool = varied(False, True, why="its default; a setting of its command line")
    buffer_tokens: int = 100
    force_s: float = 1_800.0
    _programs: PausablePrograms = field(default_factory=PausablePrograms, init=False, repr=False)
    _capacity: int | None = field(default=None, init=False, repr=False)
    _checked_at: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.interval_s <= 0:
            raise ValueError(f"interval_s must be more than 0, not {self.interval_s}")

    def waiting_key(self, req: Req, view: View) -> Key:
        """As they were passed on to the engine; those that are held back come last."""
        self._go_on(view.now)
        one = self._programs.get(req.session_id)
        if one is None:
            return (False, True, req.submitted_at, req.position)
        return (one.waits, not req.num_preemptions, one.let_in_at, req.position)

    def chunk(self, req: Req, num_tokens: int, view: View) -> int:
        self._go_on(view.now)
        one = self._programs.get(req.session_id)
        return 0 if one is not None and one.waits else num_tokens

    def changes_at(self, view: View) -> float:
        """The next check, or the end of the longest wait, while a request is held back."""
        self._go_on(view.now)
        if not any(one.waits for one in self._programs):
            return math.inf
        return min(self._next_check(), self._next_force())

    def observe(self, signal: Signal) -> None:
        self._go_on(signal.at)
        match signal:
            case EngineStarted():
                self._capacity = signal.num_blocks * signal.block_size
                self._checked_at = last_review(signal.at, self.interval_s)
            case RoundSubmitted():
                self._request(signal)
            case RoundEnded():
                self._programs.answered(signal.session_id, signal.num_tokens, signal.at)
            case SessionEnded():
                self._programs.forget(signal.session_id)

    def _request(self, signal: RoundSubmitted) -> None:
        is_new = self._programs.get(signal.session_id) is None
        fits = self._room(signal.at) >= signal.num_prompt_tokens + self.buffer_tokens
        enters = fits and not self._programs.paused()
        one = self._programs.request(signal.session_id, signal.num_prompt_tokens, signal.at)
        one.let_in_at = signal.at
        one.paused = one.paused or (is_new and not enters)

    # --- what time alone brings: the same whenever it is asked for, as nothing happens in between

    def _go_on(self, now: float) -> None:
        """Up to now, every check and every wait that is over, in their order."""
        while self._capacity is not None and min(self._next_check(), self._next_force()) <= now:
            if self._next_force() <= self._next_check():
                self._force(self._next_force())
            else:
                self._checked_at = self._next_check()
                self._resume_fitting(self._checked_at)
                self._pause_until_safe(self._checked_at)

    def _next_check(self) -> float:
        return next_review(self._checked_at, self.interval_s)

    def _next_force(self) -> float:
        waits = (one.since for one in self._programs if one.waits)
        return min(waits, default=math.inf) + self.force_s

    def _force(self, at: float) -> None:
        for one in self._programs:
            if one.waits and one.since + self.force_s <= at:
                self._resume(one, at)

    def _resume(self, one: PausableProgram, at: float) -> None:
        one.paused, one.let_in_at = False, at
        self.version += 1

    def _resume_fitting(self, at: float) -> None:
        room = self._room(at, self.acting_decay)
        for one in self._programs.paused():
            if one.tokens + self.buffer_tokens <= room:
                room -= one.tokens + self.buffer_tokens
                self._resume(one, at)

    def _pause_until_safe(self, at: float) -> None:
        for one in self._programs.active(reasoning=False):
            if self._room(at) >= 0:
                return
            one.paused = True
        if self._room(at) < 0:
            for one in self._programs.active(reasoning=True):
                one.marked = True

    def _room(self, at: float, decays: bool = False) -> float:
        """Tokens that the active leave of the capacity; without end before the engine stands."""
        if self._capacity is None:
            return math.inf
        acting = [
            one.tokens * (exp(log(0.5) * (at - one.since)) if decays else self.acting_weight)
            for one in self._programs.active(reasoning=False)
        ]
        reasoning = [one.tokens for one in self._programs.active(reasoning=True)]
        buffers = self.buffer_tokens * (len(acting) + len(reasoning))
        return self._capacity - math.fsum(acting) - sum(reasoning) - buffers
