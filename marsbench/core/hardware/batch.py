"""How long a step takes that vLLM's scheduler has put together."""

from __future__ import annotations

from collections.abc import Iterable

from marsbench.core.hardware.steptime import Prefill, StepTime

Work = tuple[int, int, bool]
"""A request's share of a step: tokens, tokens computed before, and whether one is sampled."""


def parts(works: Iterable[Work]) -> tuple[int, int, list[Prefill]]:
    """Decodes, the KV tokens of all of them, and the prefills.

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
    return step_time.seconds(*parts(works))
