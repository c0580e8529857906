"""Progress-TTL: agents that return soon keep their place; the others wait until they fit.

Source: vllm-project/router #285 and #286, and AgentInfer, whose module specifies it. A session is
active or paused. Between two rounds an active one is paused after the time to live that is worth
most, by a log-normal of the last gaps and what a miss costs; an active one's round is let through.
A paused or new one enters if nobody waits and it fits with a reserve: for it and each active one
the growth of a round times the rounds that a segment may still have; or if it fits and a larger
batch gains more than its prefill and what the others lose. Every `interval_s` those that wait enter
likewise, who answered last first; then, over capacity, reasoning ones are marked to be paused when
their answer is complete, the longest segments first. After `force_s` a request enters anyhow.
Differs: the contexts of the active are what is used (the router's fallback), none of them shared;
`force_s` is the bound of a wait that adapts; AgentInfer's privileges are left out, as in #286.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from marsbench_backends import signals
from marsbench_backends.parameters import varied
from marsbench_backends.parts.experience import Experience
from marsbench_backends.parts.growth_plan import GrowthPlan
from marsbench_backends.parts.programs import Programs
from marsbench_backends.parts.progress import EngineTimes, SegmentedProgram, best_ttl_s
from marsbench_backends.parts.review import next_review
from marsbench_backends.policy import Key, Policy, Req, View


@dataclass
class ProgressTtl(Policy):
    """ttl_min_s, ttl_max_s: bounds of a time to live. window: rounds and gaps that plans are of.

    rounds_max: of a segment. gain: whether batches count. kept_speed: of decodes beside a prefill.
    prefill_s: seconds, per 1,000 tokens, per square; decode_s: of a step, per request, per token.
    """

    ttl_min_s: float = 0.05
    ttl_max_s: float = varied(32.0, 10.0, why="AgentInfer's default; the router's is 10 s")
    window: int = varied(100, 20, why="its default; fewer make plans sooner")
    rounds_max: int = varied(14, 4, 50, why="its default")
    interval_s: float = 1.0
    buffer_tokens: int = 100
    force_s: float = 300.0
    gain: bool = varied(True, False, why="its default; a setting of its own")
    prefill_s: tuple[float, ...] = varied(
        (0.066, 0.05702, 0.0044057), (0.0, 0.0168, 0.00062),
        why="the router's, to be measured anew; the other is Qwen3-Coder-30B's on an H200",
    )  # fmt: skip
    kept_speed: float = 0.15
    decode_s: tuple[float, ...] = (0.010635, 0.00041928, 1.4205e-7)
    _plan: GrowthPlan = field(init=False, repr=False)
    _due_at: float = field(default=math.inf, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.ttl_min_s <= self.ttl_max_s:
            raise ValueError(f"ttl_min_s {self.ttl_min_s} must be above 0, up to {self.ttl_max_s}")
        for name in ("window", "interval_s", "rounds_max"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
        times = EngineTimes(self.prefill_s, self.kept_speed, self.decode_s)
        known = (Programs(SegmentedProgram), Experience(self.window), times)
        self._plan = GrowthPlan(*known, self.buffer_tokens, self.rounds_max, self.gain)

    def waiting_key(self, req: Req, view: View) -> Key:
        """As they were let in; those that wait in front of the engine come last."""
        self._go_on(view.now)
        one = self._plan.programs.get(req.session_id)
        if one is None:
            return (False, True, req.submitted_at, req.position)
        return (one.waits, not req.num_preemptions, one.let_in_at, req.position)

    def chunk(self, req: Req, num_tokens: int, view: View) -> int:
        self._go_on(view.now)
        one = self._plan.programs.get(req.session_id)
        return 0 if one is not None and one.waits else num_tokens

    def changes_at(self, view: View) -> float:
        self._go_on(view.now)
        return self._due_at if self._waiting() else math.inf

    def observe(self, signal: signals.Signal) -> None:
        self._go_on(signal.at)
        one, seen = self._plan.programs.get(signal.session_id), self._plan.seen
        match signal:
            case signals.EngineStarted():
                self._plan.capacity = signal.num_blocks * signal.block_size
            case signals.RoundSubmitted():
                self._request(signal)
            case signals.RoundStarted() if one is not None:
                seen.started(one, signal)
            case signals.FirstToken() if one is not None:
                one.first_token_at = signal.at
            case signals.RoundEnded() if one is not None:
                self._answer(one, signal)
            case signals.SessionEnded():
                self._plan.programs.forget(signal.session_id)
                seen.gaps.forget(signal.session_id)
        self._look_ahead(next_review(signal.at, self.interval_s))

    def _request(self, signal: signals.RoundSubmitted) -> None:
        programs, nobody_waits = self._plan.programs, not self._waiting()
        is_new = programs.get(signal.session_id) is None
        one = programs.request(signal.session_id, signal.num_prompt_tokens, signal.at)
        self._plan.seen.came(signal.session_id, signal.at)
        one.let_in_at, one.ttl_at = signal.at, math.inf
        if is_new or one.paused:
            one.paused = True
            if nobody_waits and self._plan.may_enter(one):
                one.let_in(signal.at)

    def _answer(self, one: SegmentedProgram, signal: signals.RoundEnded) -> None:
        seen, prompt_tokens = self._plan.seen, signal.num_tokens - signal.num_output_tokens
        seen.answered(one, signal)
        one.answered(signal.num_tokens, signal.at)
        one.ttl_at = signal.at
        if seen.knows_gaps:
            miss_s, fit = self._plan.times.miss_s(prompt_tokens), seen.gaps.fit()
            one.ttl_at += best_ttl_s(miss_s, fit, self.ttl_min_s, self.ttl_max_s)
        if one.marked or (one.rounds >= self.rounds_max and self._waiting()):
            one.pause(yields=not one.marked)
        self._plan.programs.answered(signal.session_id, signal.num_tokens, signal.at)

    # --- what time alone brings, the same whenever it is asked for

    def _waiting(self) -> list[SegmentedProgram]:
        """In the order in which they enter: who yielded comes last, who answered last first."""
        found = [one for one in self._plan.programs if one.waits]
        return sorted(found, key=lambda one: (one.yielded, -one.answered_at, one.since))

    def _look_ahead(self, check: float) -> None:
        """When something is due: that check, the end of a time to live or of the longest wait."""
        programs = self._plan.programs
        waits = (one.since + self.force_s for one in programs if one.waits)
        self._due_at = min([check, *waits, *(one.ttl_at for one in programs)])

    def _go_on(self, now: float) -> None:
        while self._due_at <= now:
            self._cycle(self._due_at)

    def _cycle(self, at: float) -> None:
        for one in self._plan.programs:
            one.outlive(at)
        for one in self._waiting():
            if at >= one.since + self.force_s or self._plan.may_enter(one):
                one.let_in(at)
                self.version += 1
        for one in self._plan.to_mark(at):
            one.marked = True
        self._look_ahead(math.inf)
