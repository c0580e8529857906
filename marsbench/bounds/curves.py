"""A step's curves from below: what a token costs at least, whatever else is in its step.

docs/bounds.md names them as here. All are read off the step-time model itself, at the points
between which its curves are straight: chunk lengths 2^k and 3 x 2^k, contexts 2^k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from marsbench.hardware.steptime import StepTime

Array = NDArray[np.float64]

GRID = 64
"""Tokens between two contexts at which a curve is looked up; between them it is rounded down."""


@dataclass(frozen=True)
class LowestStep:
    """Lower bounds of a step's parts.

    budget: tokens a step may compute. num_seqs: requests that may run at once.
    longest: tokens of the longest context.
    """

    step_time: StepTime
    budget: int
    num_seqs: int
    longest: int

    @cached_property
    def rest_s(self) -> Array:
        """Seconds of all but attention, of a step of n tokens, n = 0 to the budget."""
        curves, scale = self.step_time.curves, self.step_time.scale
        overhead_s = curves.overhead_s * scale.overhead * scale.step
        factor = scale.weights * scale.step
        rest = curves.rest.seconds
        return np.array([overhead_s + rest(n) * factor for n in range(self.budget + 1)])

    @cached_property
    def _attention(self) -> float:
        return self.step_time.scale.attention * self.step_time.scale.step

    @cached_property
    def read_s(self) -> float:
        """Seconds of decode attention for each KV token read, in the batch that reads fastest.

        Seconds over tokens is monotone where seconds are straight, so its least is at a corner.
        """
        decode = self.step_time.curves.decode.scaled(self._attention)
        return min(
            decode.seconds(n, kv) / kv
            for n in range(1, self.num_seqs + 1)
            for kv in _doublings(n * self.longest)
        )

    @cached_property
    def chunk_s(self) -> Array:
        """Seconds of prefill attention of the token at position q, q = 0 to the longest context.

        The least over all chunks that hold it. Never more than a decode of it would read.
        """
        at = np.arange(0, self.longest + GRID, GRID)
        low = np.array([self._least_chunk(int(q), per_token=True) for q in at])
        read: Array = self.read_s * np.arange(1, self.longest + 1, dtype=np.float64)
        return np.minimum(self._spread(low), read)

    @cached_property
    def decode_step_s(self) -> Array:
        """Seconds of a whole step that decodes at a context of c tokens, c = 0 to the longest."""
        decode = self.step_time.curves.decode.scaled(self._attention).seconds
        low = []
        for context in range(0, self.longest + GRID, GRID):
            best = np.inf
            for n in range(1, self.num_seqs + 1):
                if self.rest_s[n] >= best:
                    break
                best = min(best, self.rest_s[n] + decode(n, context + n - 1))
            low.append(best)
        return self._spread(np.array(low))

    @cached_property
    def resumed_s(self) -> Array:
        """Seconds of attention of the first token after a preemption, with what is computed again.

        Two tokens or more in one chunk that ends at a context of c tokens.
        """
        at = np.arange(0, self.longest + GRID, GRID)
        return self._spread(np.array([self._least_chunk(int(c) - 1, per_token=False) for c in at]))

    @cached_property
    def once_s(self) -> float:
        return self.step_time.curves.prefill.scaled(self._attention).once_s

    def _least_chunk(self, position: int, per_token: bool) -> float:
        """The least over chunks that end at the position or behind it: of a token, or of all."""
        seconds = self._prefill
        found = []
        for short, long in pairwise(self._chunks):
            prefix = max(0, position + 1 - long)
            least = min(seconds(short, prefix) / short, seconds(long, prefix) / long)
            found.append(least if per_token else least * max(short, 2))
        return max(0.0, min(found))

    @cached_property
    def _prefill(self) -> Callable[[int, int], float]:
        return self.step_time.curves.prefill.scaled(self._attention).seconds

    @cached_property
    def _chunks(self) -> list[int]:
        """Between two of these a chunk's seconds a token are straight; the budget is the last."""
        corners = {c for k in range(self.budget.bit_length()) for c in (2**k, 3 * 2**k)}
        chunks = sorted({c for c in corners if c < self.budget} | {1, self.budget})
        return chunks if len(chunks) > 1 else chunks * 2

    def _spread(self, low: Array) -> Array:
        return np.repeat(low, GRID)[: self.longest]


def _doublings(most: int) -> Iterator[int]:
    """1, 2, 4, … up to the first that is not below `most`."""
    number = 1
    while number < most:
        yield number
        number *= 2
    yield number
