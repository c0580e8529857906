"""CONCUR: the number of agents in flight follows the KV cache, as TCP's window follows the network.

Paper: arXiv 2601.22705. Of each control interval U is the share of KV in use and H the prefix
cache's hit rate: below U_low the window grows by a constant, above U_high with H below a threshold
it shrinks by a factor, else it stays. New agents enter first come, first served, while fewer than
the window are inside. Requests of those inside are served in vLLM's own order.
Differs: agents that are inside stay there when the window shrinks, so that it falls by agents
that end. An interval in which no round began has the hit rate of the one before; where nobody
measures it, usage alone shrinks the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.parameters import ours, varied
from marsbench_backends.parts.aimd import AimdWindow
from marsbench_backends.parts.congestion import kv_usage


@dataclass
class Concur(Admission):
    """kv_low, kv_high: U_low and U_high, which the paper finds best for Qwen3-32B.

    hit_low: H, the hit rate below which the cache is thrashing.
    window_init: agents let in at the start. window_max: no more than this, ever.
    window_add, window_cut: alpha and beta. tick_s: seconds of a control interval.
    """

    kv_low: float = varied(0.2, 0.1, 0.4, why="the paper's best of several, for another model")
    kv_high: float = varied(0.5, 0.4, 0.8, why="the paper's best of several, for another model")
    hit_low: float = ours(0.5, 0.2, 0.8, why="a threshold, in what we could read without a number")
    window_init: int = ours(8, 2, 32, why="no start of the window in what we could read")
    window_max: int = ours(256, 64, 1_000, why="the paper's batches are finite; agents arrive here")
    window_add: int = ours(2, 1, 8, why="alpha, in what we could read without a number")
    window_cut: float = ours(0.5, 0.7, 0.9, why="beta, in what we could read without a number")
    tick_s: float = ours(1.0, 0.2, 5.0, why="no length of a control interval in what we could read")
    _window: AimdWindow = field(init=False, repr=False)
    _counted: tuple[int, int] = field(default=(0, 0), init=False, repr=False)
    _hit_rate: float | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.kv_low < self.kv_high <= 1:
            raise ValueError(f"kv_low {self.kv_low} must be below kv_high {self.kv_high}")
        limits = (1, self.window_max, self.window_add, self.window_cut)
        self._window = AimdWindow(self.window_init, *limits, self.tick_s)

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        room = max(0, self._window.size - len(state.in_flight))
        return [c.session_id for c in waiting[:room]]

    def why_held(self, waiting: Sequence[Candidate], state: EngineState) -> Mapping[str, str]:
        return {c.session_id: "window" for c in waiting}

    def tick(self, state: EngineState) -> None:
        intervals = self._window.intervals(state.now)
        self._look_at_hits(state)
        usage = kv_usage(state)
        if usage is not None:
            thrashes = self._hit_rate is None or self._hit_rate < self.hit_low
            congested = usage > self.kv_high and thrashes
            self._window.move(congested, usage < self.kv_low, intervals, self.window_max)

    def _look_at_hits(self, state: EngineState) -> None:
        """H of the rounds that began since the last look."""
        if state.num_queried_tokens is None or state.num_hit_tokens is None:
            return
        queried, hit = self._counted
        if state.num_queried_tokens > queried:
            new = state.num_queried_tokens - queried
            self._hit_rate = (state.num_hit_tokens - hit) / new
        self._counted = (state.num_queried_tokens, state.num_hit_tokens)
