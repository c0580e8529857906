"""What Progress-TTL reckons with: what a miss costs, how fast a batch decodes, how long to wait."""

from __future__ import annotations

import math
from dataclasses import dataclass

from marsbench_backends.exact import exp, log, normal_cdf
from marsbench_backends.parts.programs import PausableProgram

CANDIDATES = 35
"""Times to live that are tried, from the shortest to the longest by equal factors."""

SHARPEST = 1e-9
"""The least spread of a fit: gaps that are all alike have none."""


@dataclass(slots=True)
class SegmentedProgram(PausableProgram):
    """A segment begins when it is let in and ends when it is paused.

    rounds: in this segment, that found nine tenths of what was there before; rounds_since_ttl:
        the same since a time to live ended. found: whether its last round did. context: tokens
        after its last answer. ttl_at: when it is paused if it has not come back. yielded: paused
        because its segment was long enough.
    """

    context: int = 0
    rounds: int = 0
    rounds_since_ttl: int = 0
    found: bool = True
    began_at: float = 0.0
    first_token_at: float | None = None
    answered_at: float = -math.inf
    ttl_at: float = math.inf
    yielded: bool = False

    def pause(self, yields: bool = False) -> None:
        self.paused, self.yielded, self.rounds, self.ttl_at = True, yields, 0, math.inf

    def outlive(self, at: float) -> None:
        """It is paused if its time to live is over."""
        if self.ttl_at <= at:
            self.pause()
            self.rounds_since_ttl = 0

    def let_in(self, at: float) -> None:
        self.paused, self.yielded, self.let_in_at, self.began_at = False, False, at, at

    def answered(self, tokens: int, at: float) -> None:
        """A round of it ended."""
        self.context, self.answered_at = tokens, at
        self.rounds += self.found
        self.rounds_since_ttl += self.found


@dataclass(frozen=True, slots=True)
class EngineTimes:
    """What computing takes, by numbers that were measured.

    prefill: seconds, and per thousand tokens, and per square of a thousand. kept_speed: the share
    of their speed that decodes keep beside it. step: seconds of a decode step, and per request, and
    per token of context.
    """

    prefill: tuple[float, ...]
    kept_speed: float
    step: tuple[float, ...]

    def miss_s(self, tokens: float) -> float:
        """To compute so many tokens again, and what decodes lose meanwhile."""
        thousands = tokens / 1_000.0
        base, linear, square = self.prefill
        alone = base + linear * thousands + square * thousands * thousands if tokens > 0 else 0.0
        return alone * (2.0 - self.kept_speed)

    def decode_speed(self, batch: int, context: float) -> float:
        """Tokens a second of so many decodes with so many tokens of context in all."""
        base, per_request, per_token = self.step
        return batch / (base + per_request * batch + per_token * context)


def best_ttl_s(miss: float, fit: tuple[float, float], shortest: float, longest: float) -> float:
    """How long to keep what costs `miss` seconds to compute again; 0 where no wait pays.

    Waiting d seconds gains the miss if the session is back by then, at the time that it took, and
    costs d if it is not: C F(d) - E[T; T < d] - d (1 - F(d)), of a log-normal with this fit.
    """
    longest = min(longest, miss)
    if longest < shortest:
        return 0.0
    first, factor = log(shortest), log(longest / shortest) / (CANDIDATES - 1)
    tried = (exp(first + factor * number) for number in range(CANDIDATES))
    worth, shorter = max((_worth(d, miss, fit), -d) for d in tried)
    return -shorter if worth >= 0.0 else 0.0


def _worth(ttl: float, miss: float, fit: tuple[float, float]) -> float:
    mean, spread = fit[0], max(fit[1], SHARPEST)
    z = (log(ttl) - mean) / spread
    back = normal_cdf(z)
    waited = exp(min(mean + spread * spread / 2.0, 700.0)) * normal_cdf(z - spread)
    return miss * back - waited - ttl * (1.0 - back)
