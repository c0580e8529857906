"""Continuum: KV stays on the GPU for the time to live that pays best, and returns go first.

Paper: arXiv 2511.02230 (later CacheTTL), Eq. 2: tau = argmax P(tau, f) x (T x eta + reload) - tau
over 0 and the durations seen of tool f. P is their empirical distribution, T the mean queueing
delay of rounds whose KV was gone, eta = -Corr(rounds done, rounds left), reload the seconds to
recompute the context. Order: preempted, then rounds whose KV is pinned, then by the session's
arrival. A pin ends when it runs out and its session is not already waiting.
Differs: f is the set of tools that a round called at the same time; the preemption victim, not
said in the paper, is the session that arrived last (its public code, without its exemption of
last rounds, which no server can know). Not modelled: the offload tiers (LMCache).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from marsbench_backends.exact import log
from marsbench_backends.parameters import ours, varied
from marsbench_backends.parts.arrivals import SessionArrivals
from marsbench_backends.parts.correlation import Correlation
from marsbench_backends.parts.tooltimes import ToolPauses
from marsbench_backends.policy import Keep, Key, Paused, Policy, Release, Req, Retention, View
from marsbench_backends.signals import RoundStarted, SessionEnded, Signal


@dataclass
class Continuum(Policy):
    """cold_samples: K, pauses up to which a distribution is not believed (paper: 100).

    cold_mean_s: seconds; the exponential that stands in for it, with eta = 1 (paper: Exp(1)).
    delays: evicted rounds in the sliding mean T (MARS_preview: 200; the paper gives no number).
    """

    cold_samples: int = varied(100, 10, 1_000, why="the paper's K, for longer runs than ours")
    cold_mean_s: float = varied(1.0, 0.1, 10.0, why="the paper's Exp(1), for its tools")
    delays: int = ours(200, 20, 2_000, why="a sliding mean of no given length; MARS's code has 200")
    _arrivals: SessionArrivals = field(default_factory=SessionArrivals, init=False, repr=False)
    _times: ToolPauses = field(init=False, repr=False)
    _delays: deque[float] = field(init=False, repr=False)
    _memory: Correlation = field(default_factory=Correlation, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.cold_mean_s <= 0:
            raise ValueError(f"cold_mean_s must be more than 0, not {self.cold_mean_s}")
        self._times = ToolPauses(self.cold_samples, self.cold_mean_s)
        self._delays = deque(maxlen=self.delays)

    # --- order

    def waiting_key(self, req: Req, view: View) -> Key:
        return (self._rank(req, view), self._arrivals.of_request(req), req.position)

    def _rank(self, req: Req, view: View) -> int:
        if req.num_preemptions:
            return 0
        paused = view.paused.get(req.session_id)
        return 1 if paused is not None and paused.held else 2

    def victim(self, running: Sequence[Req], view: View) -> Req:
        return max(running, key=lambda req: (self._arrivals.of_request(req), req.position))

    # --- retention

    def retain(self, paused: Paused, view: View) -> Retention:
        if paused.held:
            return Keep() if paused.returned else Release()
        ttl_s = self._ttl_s(paused, view)
        return Keep(view.now + ttl_s) if ttl_s > 0 else Release()

    def _ttl_s(self, paused: Paused, view: View) -> float:
        """tau of Eq. 2, in seconds."""
        reload_s = view.prefill_s(paused.num_tokens)
        seen = self._times.seen(paused.tools)
        if seen is None:
            return best_cold_ttl_s(self._delay_s + reload_s, self.cold_mean_s)
        return best_ttl_s(self._delay_s * self._eta + reload_s, seen.sorted)

    @property
    def _delay_s(self) -> float:
        """T: 0 until a round has come back to KV that was gone."""
        return math.fsum(self._delays) / len(self._delays) if self._delays else 0.0

    @property
    def _eta(self) -> float:
        """1 when rounds done tell the rounds left, 0 when they tell nothing."""
        correlation = self._memory.value()
        return 1.0 if correlation is None else -correlation

    def reclaim(self, held: Sequence[Paused], needs: Req, view: View) -> str | None:
        """The deadlock rule: where only pins block, those of the latest sessions yield."""
        if any(req.request_id != needs.request_id for req in view.running):
            return None
        latest = max(held, key=lambda p: (self._arrivals.of(p.session_id), p.session_id))
        return latest.session_id

    # --- what happened

    def observe(self, signal: Signal) -> None:
        self._arrivals.observe(signal)
        self._times.observe(signal)
        match signal:
            case RoundStarted(was_evicted=True, resumed=False):
                self._delays.append(signal.waited_s)
            case SessionEnded(num_rounds=total):
                for done in range(1, total):
                    self._memory.add(done, total - done)


def best_cold_ttl_s(benefit_s: float, mean_s: float) -> float:
    """argmax of benefit x (1 - exp(-tau / mean)) - tau."""
    return max(0.0, mean_s * log(benefit_s / mean_s)) if benefit_s > 0 else 0.0


def best_ttl_s(benefit_s: float, durations: Sequence[float]) -> float:
    """argmax of benefit x P(duration <= tau) - tau over 0 and the durations (sorted)."""
    share = benefit_s / len(durations)
    best, best_value = 0.0, 0.0
    for count, (tau, following) in enumerate(pairwise((*durations, math.inf)), 1):
        value = share * count - tau
        if tau < following and value > best_value:
            best, best_value = tau, value
    return best
