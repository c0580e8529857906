"""Retention: ranges of a context carry a priority for a while, and are evicted by it.

Source: vLLM's RFC #37003 and pull request #38514 (open), v1/core/priority_eviction_queue.py. A
request marks ranges of its tokens with a priority from 0 to 100 and a duration. Blocks without one
are evicted first, as LRU has them; then those with one, the lowest priority first and of one
priority the oldest. When its duration is over a block joins the end of the LRU. Another session may
raise a block's priority, and only the one that set it may lower or renew it.
Who marks: llm-d-router's plugin kv-cache-retention (its #2928): the whole context at priority 70,
for the 0.9 quantile of the time between two rounds, a log-normal that is learned as they pass. By
default only sessions of one kind are marked, and as in its benchmark sub-agents are of another.
Where the length of the system prompt is told, that has the priority of #38514's own benchmark.
Differs: marked when a round gives its blocks back, not when it comes and as blocks fill; a duration
counts from there. A queue for each further kind, and kv-cache-hint-v2's budget, are left out.
Where all are marked alike the order is nearly LRU: a mark tells main sessions from sub-agents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench_backends.exact import exp, normal_quantile
from marsbench_backends.parameters import ours, varied
from marsbench_backends.parts.gaps import Gaps
from marsbench_backends.policy import EvictionRank, Policy, Req, View
from marsbench_backends.signals import RoundEnded, RoundSubmitted, SessionEnded, Signal

UNMARKED_FIRST = 1
"""The lowest priority, 0, is evicted after all that has none."""


@dataclass
class Retention(Policy):
    """priority: of a context, 0 to 100. most_tokens: marked from its start; 0 for all of it.

    system_tokens, system_priority: of a prompt that is marked for good.
    subagents: whether they are marked as well, and learned from.
    quantile: of the time between two rounds, which a mark lasts for, from ttl_min_s to ttl_max_s.
    log_mean, log_std: of that time in log-seconds, before `min_samples` were seen. learning: the
        weight of each new estimate, from the last `window` gaps of gap_min_s to gap_max_s.
    """

    priority: int = 70
    most_tokens: int = varied(0, 16_384, why="its default, all; kv-cache-hint-v2 marks the head")
    system_tokens: int = ours(0, 4_096, 16_384, why="no engine is told how long it is")
    system_priority: int = 90
    subagents: bool = varied(False, True, why="its one queue; its benchmark left them out")
    quantile: float = varied(0.9, 0.5, 0.95, why="its default")
    ttl_min_s: float = 1.0
    ttl_max_s: float = varied(600.0, 10.0, 60.0, why="its default; 10 s in its sub-agents' example")
    log_mean: float = varied(2.28, 0.69, why="its default, of CC-Bench; 0.69 for sub-agents")
    log_std: float = varied(1.34, 1.13, why="its default, of CC-Bench; 1.13 for sub-agents")
    learning: float = 0.1
    min_samples: int = 20
    window: int = 200
    gap_min_s: float = 0.1
    gap_max_s: float = 3_600.0
    _children: set[str] = field(default_factory=set, init=False, repr=False)
    _gaps: Gaps = field(init=False, repr=False)
    _fit: tuple[float, float] = field(init=False, repr=False)
    _z: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("priority", "system_priority"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} must be from 0 to 100, not {getattr(self, name)}")
        if not 0 < self.ttl_min_s <= self.ttl_max_s:
            raise ValueError(f"ttl_min_s {self.ttl_min_s} must be above 0, up to {self.ttl_max_s}")
        self._z = normal_quantile(self.quantile)
        self._gaps = Gaps(self.window)
        self._fit = (self.log_mean, self.log_std)

    def eviction_order(self, req: Req, view: View) -> Sequence[EvictionRank]:
        if req.session_id in self._children:
            return ()
        end = self.most_tokens or math.inf
        system = EvictionRank(self.system_tokens, self.system_priority + UNMARKED_FIRST)
        rest = EvictionRank(end, self.priority + UNMARKED_FIRST, view.now + self._ttl_s())
        return (system, rest) if 0 < self.system_tokens < end else (rest,)

    def _ttl_s(self) -> float:
        """The quantile of the fit, within its bounds."""
        mean, std = self._fit
        seconds = exp(min(mean + std * self._z, 100.0))
        return min(max(seconds, self.ttl_min_s), self.ttl_max_s)

    def observe(self, signal: Signal) -> None:
        match signal:
            case RoundSubmitted():
                if signal.parent_id is not None and not self.subagents:
                    self._children.add(signal.session_id)
                self._learn(self._gaps.came(signal.session_id, signal.at))
            case RoundEnded() if signal.session_id not in self._children:
                self._gaps.ended(signal.session_id, signal.at)
            case SessionEnded():
                self._gaps.forget(signal.session_id)
                self._children.discard(signal.session_id)

    def _learn(self, gap: float | None) -> None:
        """Move the fit towards that of the last gaps."""
        if gap is None or not self.gap_min_s <= gap <= self.gap_max_s:
            return
        self._gaps.add(gap)
        if len(self._gaps) >= self.min_samples:
            new, old = self._gaps.fit(), self._fit
            mean, std = (o + self.learning * (n - o) for n, o in zip(new, old, strict=True))
            self._fit = (mean, std)
