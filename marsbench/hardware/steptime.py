"""How long a step takes: a sum of three curves and the host's share.

    step = overhead + rest(tokens) + sum of prefill attention(chunk, prefix)
                                   + decode attention(requests, KV tokens)

`rest` is everything but attention, by the total number of tokens, so that weights are read once a
step however many requests share it. The curves come from a datasheet (roofline.py) or from
measured tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, Self

from marsbench.errors import UsageError

Prefill = tuple[int, int]
"""(chunk tokens, tokens of the request already in the KV cache before this chunk)"""


class RestCurve(Protocol):
    def seconds(self, num_tokens: int, /) -> float: ...

    def facts(self) -> dict[str, object]: ...


class AttentionCurve(Protocol):
    """Prefill: (chunk, prefix). Decode: (requests, KV tokens of all of them).

    once_s: what a step takes once, however many requests share its kernel launches.
    """

    @property
    def once_s(self) -> float: ...

    def seconds(self, first: int, second: int, /) -> float: ...

    def scaled(self, factor: float) -> Self: ...

    def facts(self) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class Curves:
    """The parts of a step, unscaled."""

    overhead_s: float
    rest: RestCurve
    prefill: AttentionCurve
    decode: AttentionCurve


@dataclass(frozen=True, slots=True)
class StepScale:
    """Factors for sensitivity runs: on the whole step and on its parts."""

    step: float = 1.0
    attention: float = 1.0
    weights: float = 1.0
    overhead: float = 1.0

    def __post_init__(self) -> None:
        for name, factor in asdict(self).items():
            if not 0 < factor < float("inf"):
                raise UsageError(f"The scale of {name} must be greater than 0, not {factor}.")


class _Rest(dict[int, float]):
    """Overhead and everything but attention, by total tokens; each is computed once."""

    def __init__(self, curves: Curves, scale: StepScale) -> None:
        self._curve = curves.rest
        self._overhead_s = curves.overhead_s * scale.overhead * scale.step
        self._factor = scale.weights * scale.step

    def __missing__(self, num_tokens: int) -> float:
        value = self._overhead_s + self._curve.seconds(num_tokens) * self._factor
        self[num_tokens] = value
        return value


class StepTime:
    """Seconds of a step, from what is in it. Immutable but for a memo."""

    __slots__ = ("_decode_s", "_prefill_once_s", "_prefill_s", "_rest", "curves", "scale")

    def __init__(self, curves: Curves, scale: StepScale | None = None) -> None:
        self.curves = curves
        self.scale = scale or StepScale()
        attention = self.scale.attention * self.scale.step
        self._rest = _Rest(curves, self.scale)
        prefill = curves.prefill.scaled(attention)
        self._prefill_s = prefill.seconds
        self._prefill_once_s = prefill.once_s
        self._decode_s = curves.decode.scaled(attention).seconds

    def __reduce__(self) -> tuple[type[StepTime], tuple[Curves, StepScale]]:
        return StepTime, (self.curves, self.scale)

    def seconds(
        self, num_decodes: int, decode_kv_tokens: int, prefills: Sequence[Prefill] = ()
    ) -> float:
        """One step; decode_kv_tokens is the KV that the decodes read, summed over them."""
        attention = self._decode_s(num_decodes, decode_kv_tokens) if num_decodes else 0.0
        num_tokens = num_decodes
        if prefills:
            attention += self._prefill_once_s
        for chunk, prefix in prefills:
            num_tokens += chunk
            attention += self._prefill_s(chunk, prefix)
        return self._rest[num_tokens] + attention

    def run_seconds(
        self, num_decodes: int, decode_kv_tokens: int, prefills: Sequence[Prefill], steps: int
    ) -> list[float]:
        """`steps` steps in a row: decodes grow by a token, prefills by their chunk, each step.

        Bit for bit what `steps` calls of `seconds` give.
        """
        rest = self._rest[num_decodes + sum(chunk for chunk, _ in prefills)]
        if num_decodes:
            decode = self._decode_s
            kv_ends = decode_kv_tokens + num_decodes * steps
            kv = range(decode_kv_tokens, kv_ends, num_decodes)
            attention = [decode(num_decodes, tokens) for tokens in kv]
        else:
            attention = [0.0] * steps
        if prefills:
            attention = [a + self._prefill_once_s for a in attention]
        for chunk, prefix in prefills:
            prefixes = range(prefix, prefix + chunk * steps, chunk)
            prefill = self._prefill_s
            attention = [a + prefill(chunk, p) for a, p in zip(attention, prefixes, strict=True)]
        return [rest + a for a in attention]

    def prefill_s(self, num_tokens: int, prefix: int, budget: int) -> float:
        """Seconds to prefill alone, in chunks of at most `budget` tokens, on a cached prefix."""
        total, end = 0.0, prefix + num_tokens
        while prefix < end:
            chunk = min(budget, end - prefix)
            total += self.seconds(0, 0, ((chunk, prefix),))
            prefix += chunk
        return total

    def with_scale(self, **factors: float) -> StepTime:
        """The same curves under these factors of `StepScale` alone, for sensitivity runs."""
        return StepTime(self.curves, StepScale(**factors))

    def facts(self) -> dict[str, object]:
        """All the numbers that decide what `seconds` returns."""
        return {
            "overhead_s": self.curves.overhead_s,
            "rest": self.curves.rest.facts(),
            "prefill": self.curves.prefill.facts(),
            "decode": self.curves.decode.facts(),
            "scale": asdict(self.scale),
        }


Work = tuple[int, int, bool]
"""A request's share of a step: tokens, tokens computed before, and whether one is sampled."""


def batch_parts(works: Iterable[Work]) -> tuple[int, int, list[Prefill]]:
    """Of a step that vLLM's scheduler put together: decodes, KV tokens of all of them, prefills.

    One token that is sampled from is a decode, all else a prefill.
    """
    decodes, kv_tokens = 0, 0
    prefills: list[Prefill] = []
    for tokens, computed, sampled in works:
        if tokens == 1 and sampled:
            decodes += 1
            kv_tokens += computed + 1
        else:
            prefills.append((tokens, computed))
    return decodes, kv_tokens, prefills


def batch_seconds(step_time: StepTime, works: Iterable[Work]) -> float:
    """Seconds of the step."""
    return step_time.seconds(*batch_parts(works))
