"""How an import and its recordings agree, as a workload file keeps it: numbers, our words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from marsbench.formats.gathering import Account

MOST_TOLD = 20
"""Sessions that a file names as differing; the others are counted."""


def recording_meta(
    accounts: Sequence[Account], names: Sequence[str], left_out: int, unawaited: int
) -> dict[str, Any]:
    """The section "recording" of a workload's meta.

    accounts, names: one a session; the names are those that the file has. Spans and gaps are of
    the sessions that have a clock, calls of those that count them. left_out: files, rows and
    sessions. unawaited: sub-agents that nothing waits for.
    """
    clocked = [one for one in accounts if one.stated.span_s is not None]
    counted = [one for one in accounts if one.stated.num_calls is not None]
    told = [
        [name, sentence]
        for name, one in zip(names, accounts, strict=True)
        for sentence in one.differences
    ]
    return {
        "sessions": len(accounts),
        "rounds": sum(one.num_rounds for one in accounts),
        "clocked_sessions": len(clocked),
        "span_s": math.fsum(one.stated.span_s or 0.0 for one in clocked),
        "gaps_s": math.fsum(one.gaps_s for one in clocked),
        "counted_sessions": len(counted),
        "counted_rounds": sum(one.num_rounds for one in counted),
        "calls": sum(one.stated.num_calls or 0 for one in counted),
        "repairs": dict(sorted(Counter(k for one in accounts for k in one.repairs).items())),
        "repaired_sessions": sum(bool(one.repairs) for one in accounts),
        "differences": told[:MOST_TOLD],
        "differing_sessions": sum(bool(one.differences) for one in accounts),
        "left_out": left_out,
        "unawaited": unawaited,
        **_parts(accounts),
    }


def _parts(accounts: Sequence[Account]) -> dict[str, int]:
    """Tokens that were read from a cache, and those of reasoning, where recordings say so."""
    cached = [n for one in accounts if (n := one.stated.cached_tokens) is not None]
    reasoning = [n for one in accounts if (n := one.stated.reasoning_tokens) is not None]
    parts = {"cached_tokens": cached, "reasoning_tokens": reasoning}
    return {name: sum(known) for name, known in parts.items() if known}
