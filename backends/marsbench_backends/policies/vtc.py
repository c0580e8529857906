"""Virtual token counter: the tenant that was served least goes next.

Paper: Sheng et al., Fairness in Serving Large Language Models, OSDI 2024 (arXiv 2401.00588),
Algorithm 2. Each tenant has a counter: `input_weight` for every prompt token of a round when it is
started, `output_weight` for every output token as it is generated. Of the tenants that wait, the
first round of the one with the lowest counter is next. A tenant of whom nothing waited is lifted
when it comes: to the lowest counter of those that wait, or if nobody does to that of the tenant
that left the queue last. Tenants that wait all the time then differ by a bounded service.
Differs: a round is told by its place behind those of its tenant, whose prompts are counted ahead,
which gives the algorithm's order; a preempted round goes first, as vLLM has it, and is not charged
again (the paper preempts nobody). Not modelled: weights of tenants, predicted lengths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

from marsbench_backends.parameters import varied
from marsbench_backends.parts.outputs import OutputMeter
from marsbench_backends.parts.tenant_queues import Name, TenantQueues
from marsbench_backends.policy import Key, Policy, Req, View
from marsbench_backends.signals import (
    RoundEnded,
    RoundStarted,
    RoundSubmitted,
    SessionEnded,
    Signal,
    StepEnded,
)

Standing = tuple[float, int, str, Name]
"""A round that waits: the counter at which its turn comes, its place, its tenant, its name."""


@dataclass
class Vtc(Policy):
    """input_weight, output_weight: w_p and w_q, of a prompt token and an output token.

    count_cached: whether prompt tokens that are in the prefix cache are charged.
    """

    input_weight: float = 1.0
    output_weight: float = varied(2.0, 3.0, why="w_q = 2; llm-d's VTC for its router has 3")
    count_cached: bool = varied(
        True, False, why="the paper charges whole prompts, on an engine without a prefix cache"
    )
    _counters: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _queues: TenantQueues = field(default_factory=TenantQueues, init=False, repr=False)
    _meter: OutputMeter = field(default_factory=OutputMeter, init=False, repr=False)
    _rounds: dict[str, RoundSubmitted] = field(default_factory=dict, init=False, repr=False)
    _contexts: dict[str, int] = field(default_factory=dict, init=False, repr=False)
    _order: list[Standing] = field(default_factory=list, init=False, repr=False)
    _turns: dict[Name, float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("input_weight", "output_weight"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")

    def waiting_key(self, req: Req, view: View) -> Key:
        turn = self._turns.get((req.session_id, req.round), 0.0)
        return (0.0, 0.0, req.position) if req.num_preemptions else (1.0, turn, req.position)

    def steady_tokens(self, req: Req, view: View) -> float:
        """Until a round of its tenant falls behind the next one of another."""
        gaps = [b[0] - a[0] for a, b in pairwise(self._order) if a[2] == req.tenant != b[2]]
        if not gaps or not req.decoding:
            return math.inf
        together = sum(one.decoding and one.tenant == req.tenant for one in view.running)
        return max(1, math.ceil(min(gaps) / (self.output_weight * max(1, together))))

    def observe(self, signal: Signal) -> None:
        self._charge(signal.session_id, self._meter.observe(signal))
        match signal:
            case RoundSubmitted():
                self._submit(signal)
            case RoundStarted() if not signal.resumed:
                self._start(signal)
            case RoundEnded():
                self._contexts[signal.session_id] = signal.num_tokens
            case SessionEnded():
                self._forget(signal.session_id)
        self._renew(moved=isinstance(signal, RoundSubmitted | RoundStarted | SessionEnded))

    def serve(self, step: StepEnded) -> None:
        generated = list(self._meter.generated(step))
        for session_id, tokens in generated:
            self._charge(session_id, tokens)
        if generated:
            self._renew(moved=False)

    def _submit(self, signal: RoundSubmitted) -> None:
        tenant, session_id = signal.tenant, signal.session_id
        others, own = list(self._queues.tenants()), self._counters.get(tenant, 0.0)
        if not others and self._queues.last is not None:
            own = max(own, self._counters[self._queues.last])
        elif others and tenant not in others:
            own = max(own, min(self._counters[other] for other in others))
        self._counters[tenant] = own
        self._rounds[session_id] = signal
        known = 0 if self.count_cached else self._contexts.get(session_id, 0)
        charge = self.input_weight * max(0, signal.num_prompt_tokens - known)
        self._queues.join(tenant, (session_id, signal.round), signal.at, charge)

    def _start(self, signal: RoundStarted) -> None:
        asked = self._rounds.get(signal.session_id)
        if asked is not None:
            found = 0 if self.count_cached else signal.num_cached_tokens
            self._queues.leave(asked.tenant, (signal.session_id, signal.round))
            self._counters[asked.tenant] += self.input_weight * (asked.num_prompt_tokens - found)

    def _charge(self, session_id: str, num_output_tokens: int) -> None:
        asked = self._rounds.get(session_id)
        if asked is not None and num_output_tokens:
            self._counters[asked.tenant] += self.output_weight * num_output_tokens

    def _forget(self, session_id: str) -> None:
        asked = self._rounds.pop(session_id, None)
        self._contexts.pop(session_id, None)
        if asked is not None:
            self._queues.forget(asked.tenant, session_id)

    def _renew(self, moved: bool) -> None:
        """Everybody's turn anew; keys are asked again where that changed the order of two tenants.

        moved: who waits has changed, so that keys of before cannot be compared with newer ones.
        """
        order = sorted(self._standings())
        self._turns = {name: turn for turn, _, _, name in order}
        if len(self._queues) > 1 and (
            moved or [s[1] for s in order] != [s[1] for s in self._order]
        ):
            self.version += 1
        self._order = order

    def _standings(self) -> list[Standing]:
        found: list[Standing] = []
        for tenant, queue in self._queues:
            turn = self._counters[tenant]
            for one in queue:
                found.append((turn, one.place, tenant, one.name))
                turn += one.tokens
        return found
