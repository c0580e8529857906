"""A session stays where its prefix is while that replica is fast enough; else the least work.

Source: vllm-project/router, `smetric` (src/policies/smetric.rs), with the rule and the defaults of
the proposal whose costs are in tokens (--smetric-ttft-slo-secs 1.0). @8bef7312 counts characters,
and its defaults were not found. Stays if the longest match exceeds hit_ratio of what the
session's last round sent, and the work queued there, this prompt's with it, by the rate is within
slack x (slo_s + slo_s_per_1k of each thousand tokens), or nobody is; else the least of that work x
rounds under way, equals in turn. Work is uncached tokens n + n x (L - n/2) / crossover of rounds
without a first token. The rate is the 0.9 quantile of work / time to first token of the last 64
rounds; with fewer than 8 everybody is fast enough. Not modelled: a tree of characters (blocks
here), the server whose rate somebody sets.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench.replicas.known import PrefixRouter
from marsbench.replicas.router import ReplicaView, RoundKey, RoundToPlace

WINDOW, FEWEST, QUANTILE = 64, 8, 0.9


@dataclass
class Smetric(PrefixRouter):
    """hit_ratio: of the last prompt. crossover_tokens: where attention costs as much as all else; 0
    leaves it out.
    """

    hit_ratio: float = 0.5
    slack: float = 1.0
    slo_s: float = 1.0
    slo_s_per_1k: float = 0.0625
    crossover_tokens: float = 0.0
    _rates: dict[int, deque[float]] = field(init=False)
    _queued: dict[RoundKey, tuple[int, float, float]] = field(default_factory=dict, init=False)
    _sent: dict[str, int] = field(default_factory=dict, init=False)
    _num: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._rates = defaultdict(lambda: deque(maxlen=WINDOW))

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int:
        work = {one.index: self._work(ask, one.index) for one in replicas}
        fast = {index for index in work if self._is_fast(ask, index, work[index])}
        hits = {index: self._known.matched(ask, index) * ask.block_size for index in work}
        best = min(work, key=lambda index: (-hits[index], work[index], -index))
        is_there = hits[best] > self.hit_ratio * self._sent.get(ask.session, 0)
        if ask.round and is_there and (best in fast or not fast):
            return best
        scores = {one.index: work[one.index] * one.under_way for one in replicas}
        least = [index for index, score in scores.items() if score == min(scores.values())]
        return least[self._num % len(least)]

    def placed(self, ask: RoundToPlace, replica: int) -> None:
        self._queued[ask.key] = (replica, self._own(ask, replica), ask.now)
        self._sent[ask.session] = ask.prompt_tokens
        super().placed(ask, replica)
        self._num += 1

    def lost(self, key: RoundKey) -> None:
        self._queued.pop(key, None)

    def first_token(self, key: RoundKey, now: float) -> None:
        replica, own, sent_at = self._queued.pop(key)
        if own > 0 and now > sent_at:
            self._rates[replica].append(own / (now - sent_at))

    def gone(self, replica: int) -> None:
        super().gone(replica)
        self._rates.pop(replica, None)

    def _own(self, ask: RoundToPlace, replica: int) -> float:
        length = ask.prompt_tokens
        new = max(0, length - self._known.matched(ask, replica) * ask.block_size)
        over = self.crossover_tokens
        return new + (new * (length - new / 2) / over if over else 0.0)

    def _work(self, ask: RoundToPlace, replica: int) -> float:
        queued = (own for where, own, _ in self._queued.values() if where == replica)
        return sum(queued) + self._own(ask, replica)

    def _is_fast(self, ask: RoundToPlace, replica: int, work: float) -> bool:
        rates = sorted(self._rates[replica])
        if len(rates) < FEWEST:
            return True
        rate = rates[int(QUANTILE * (len(rates) - 1) + 0.5)]
        limit_s = self.slo_s + self.slo_s_per_1k * ask.prompt_tokens / 1000
        return work / rate <= self.slack * limit_s
