"""What a step costs for what is in it: prices that no batch can undercut.

    step >= step_s + decode_s x decodes + token_s x prompt tokens + attention of each of them

docs/bounds.md says why, and what follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marsbench.bounds.curves import Array, LowestStep
from marsbench.bounds.rounds import Need

SHARES = tuple(k / 20 for k in range(20))
"""Of the largest price a prompt token that are tried. All are valid, the one that asks most is
taken."""


@dataclass(frozen=True, slots=True)
class Prices:
    """GPU seconds: step_s once a step, decode_s for each decode and token_s for each prompt token
    in it; attention is that of `lowest`."""

    lowest: LowestStep
    step_s: float
    decode_s: float
    token_s: float

    @property
    def resumed_less_s(self) -> float:
        """Seconds by which a step may be shorter that computes a token after a preemption."""
        low = self.lowest
        resumed = low.rest_s[min(2, low.budget)] + low.once_s + low.resumed_s
        return max(0.0, float(np.max(low.decode_step_s - resumed)))

    def prefill_works(self, need: Need) -> Array:
        """Of each prompt token that is not found computed."""
        return self.lowest.chunk_s[need.cached : need.prompt] + self.token_s

    def decode_works(self, need: Need) -> Array:
        """Of each generated token after the first, which the prompt's last chunk samples."""
        contexts: Array = np.arange(need.prompt + 1, need.prompt + need.output, dtype=np.float64)
        return self.lowest.read_s * contexts + self.decode_s


def best_prices(lowest: LowestStep, needs: Sequence[Need], kv_tokens: int) -> Prices:
    """The valid prices at which these rounds need the most GPU seconds together."""
    held = min(need.prompt - need.shared for need in needs)
    most_decodes = min(lowest.num_seqs, kv_tokens // max(1, held))
    tokens = sum(need.prompt - need.cached for need in needs)
    decodes = sum(need.output - 1 for need in needs)
    most = float(np.min(lowest.rest_s[1:] / np.arange(1, len(lowest.rest_s))))
    tried = [_prices(lowest, share * most, most_decodes) for share in SHARES]

    def asked_s(prices: Prices) -> float:
        a_decode_s = prices.decode_s + prices.step_s / most_decodes
        return prices.token_s * tokens + a_decode_s * decodes

    return max(tried, key=asked_s)


def _prices(lowest: LowestStep, token_s: float, most_decodes: int) -> Prices:
    """At this price a prompt token, those of a step and of a decode: the chord of what is left.

    left[n]: the least that a step with n decodes takes beyond its prompt tokens' price.
    """
    counts = np.arange(len(lowest.rest_s))
    spare = np.minimum.accumulate((lowest.rest_s - token_s * counts)[::-1])[::-1]
    left = (spare + token_s * counts)[: most_decodes + 1]
    left[0] = spare[1]
    decode_s = max(0.0, float(left[-1] - left[1]) / max(1, most_decodes - 1))
    step_s = float(np.min(left - decode_s * counts[: most_decodes + 1]))
    if step_s < 0:
        decode_s, step_s = 0.0, float(np.min(left))
    return Prices(lowest, step_s, decode_s, token_s)
