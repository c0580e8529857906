"""How long sessions pause for their tool calls: what was seen of each tool, and what it implies.

A pause is the gap from a round's end to the session's next round, as a server sees it. It is filed
under the set of tools that ran in it, so that parallel calls need no assumption of independence.
A tool with too few pauses of its own takes the distribution of all pauses; before there are enough
of those, an exponential one (Continuum, arXiv 2511.02230, cold start with K = 100).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from marsbench_backends.exact import exp
from marsbench_backends.signals import RoundEnded, RoundSubmitted, SessionEnded, Signal


class PauseDistribution(Protocol):
    """Of a pause's seconds, asked at its start or once `elapsed_s` of it have passed."""

    def cdf(self, seconds: float) -> float:
        """P(pause <= seconds)."""
        ...

    def returns_within(self, seconds: float, elapsed_s: float = 0.0) -> float:
        """P(pause <= elapsed + seconds | pause > elapsed)."""
        ...

    def mean_left_s(self, elapsed_s: float = 0.0) -> float:
        """E[pause - elapsed | pause > elapsed]."""
        ...


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless: how long it has taken says nothing of how long it will."""

    mean_s: float

    def cdf(self, seconds: float) -> float:
        return 1.0 - exp(-max(0.0, seconds) / self.mean_s)

    def returns_within(self, seconds: float, elapsed_s: float = 0.0) -> float:
        return self.cdf(seconds)

    def mean_left_s(self, elapsed_s: float = 0.0) -> float:
        return self.mean_s


class Empirical:
    """The last `window` pauses as seen.

    Past the longest of them a pause is expected to last as long again as it already has: the
    estimator that InferCept (arXiv 2402.01869) uses throughout.
    """

    def __init__(self, window: int) -> None:
        self._recent: deque[float] = deque(maxlen=window)
        self.sorted: list[float] = []
        self._sums_from: list[float] | None = None

    def __len__(self) -> int:
        return len(self.sorted)

    def add(self, seconds: float) -> None:
        if len(self._recent) == self._recent.maxlen:
            del self.sorted[bisect_left(self.sorted, self._recent[0])]
        self._recent.append(seconds)
        insort(self.sorted, seconds)
        self._sums_from = None

    @property
    def mean_s(self) -> float:
        return self._sum_from(0) / len(self.sorted)

    def cdf(self, seconds: float) -> float:
        return bisect_right(self.sorted, seconds) / len(self.sorted)

    def returns_within(self, seconds: float, elapsed_s: float = 0.0) -> float:
        longer = len(self.sorted) - bisect_right(self.sorted, elapsed_s)
        if not longer:
            return Exponential(max(elapsed_s, 1e-9)).cdf(seconds)
        still = len(self.sorted) - bisect_right(self.sorted, elapsed_s + seconds)
        return 1.0 - still / longer

    def mean_left_s(self, elapsed_s: float = 0.0) -> float:
        first = bisect_right(self.sorted, elapsed_s)
        longer = len(self.sorted) - first
        if not longer:
            return elapsed_s
        return self._sum_from(first) / longer - elapsed_s

    def _sum_from(self, first: int) -> float:
        """The sum of all pauses from the `first`-shortest on."""
        if self._sums_from is None:
            self._sums_from = [*accumulate(reversed(self.sorted))][::-1]
        return self._sums_from[first]


@dataclass
class ToolPauses:
    """Learns from signals. `enough`: pauses beyond which a distribution is believed (K = 100).

    cold_mean_s: seconds; the exponential before anything is known (Continuum: Exp(1)).
    window: the latest pauses kept of each tool, and of all; bounds memory and the cost of asking.
    """

    enough: int = 100
    cold_mean_s: float = 1.0
    window: int = 1_000
    _ended: dict[str, tuple[float, tuple[str, ...]]] = field(default_factory=dict, init=False)
    _by_tools: dict[tuple[str, ...], Empirical] = field(default_factory=dict, init=False)
    _all: Empirical = field(init=False)

    def __post_init__(self) -> None:
        self._all = Empirical(self.window)

    def observe(self, signal: Signal) -> None:
        """Learn the gap between a session's rounds."""
        match signal:
            case RoundEnded():
                self._ended[signal.session_id] = (signal.at, signal.tools)
            case RoundSubmitted() if signal.session_id in self._ended:
                at, tools = self._ended.pop(signal.session_id)
                self.learn(tools, signal.at - at)
            case SessionEnded():
                self._ended.pop(signal.session_id, None)

    def learn(self, tools: Sequence[str], seconds: float) -> None:
        """A pause for these tools took that long."""
        kind = kind_of(tools)
        if kind not in self._by_tools:
            self._by_tools[kind] = Empirical(self.window)
        self._by_tools[kind].add(seconds)
        self._all.add(seconds)

    def seen(self, tools: Sequence[str]) -> Empirical | None:
        """The pauses believed for these tools: their own, else all, else None (too few)."""
        own = self._by_tools.get(kind_of(tools))
        if own is not None and len(own) > self.enough:
            return own
        return self._all if len(self._all) > self.enough else None

    def mean_s(self, tools: Sequence[str]) -> float | None:
        """The mean pause for these tools, however few were seen; None when none was."""
        own = self._by_tools.get(kind_of(tools))
        return None if own is None else own.mean_s

    def distribution(self, tools: Sequence[str]) -> PauseDistribution:
        """The distribution of a pause for these tools."""
        return self.seen(tools) or Exponential(self.cold_mean_s)


def kind_of(tools: Sequence[str]) -> tuple[str, ...]:
    """The tools of a pause, each once, in a fixed order."""
    return tuple(sorted(set(tools)))
