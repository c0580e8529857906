"""The section "recording" of a workload that was imported: how it agrees with what was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from marsbench.text.numbers import compact

KEY = "recording"
"""Of a workload's meta; `marsbench.formats.accounts` makes it."""


class HowRecorded(BaseModel):
    """What an import keeps. Spans and gaps are of the sessions that have a clock, calls of those
    that count them."""

    sessions: int
    rounds: int
    clocked_sessions: int = 0
    span_s: float = 0.0
    gaps_s: float = 0.0
    counted_sessions: int = 0
    counted_rounds: int = 0
    calls: int = 0
    repairs: dict[str, int] = Field(default_factory=dict)
    repaired_sessions: int = 0
    differences: list[tuple[str, str]] = Field(default_factory=list)
    differing_sessions: int = 0
    left_out: int = 0
    unawaited: int = 0
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


def recording_of(meta: Mapping[str, Any]) -> HowRecorded | None:
    """None where the workload was not imported, or what it says of that is none of ours."""
    try:
        return HowRecorded.model_validate(meta.get(KEY))
    except ValidationError:
        return None


def recording_rows(found: HowRecorded) -> list[tuple[str, str]]:
    """What there is to say, each behind its name."""
    rows = [
        ("sessions", f"{found.sessions:,}"),
        ("span", _span(found)),
        ("gaps", _gaps(found)),
        ("rounds", _rounds(found)),
        ("repaired", _repaired(found)),
        ("left out", _left_out(found)),
    ]
    rows += [("tokens", parts)] if (parts := _parts(found)) else []
    return [*rows, *(("differs", line) for line in _differences(found))]


def _span(found: HowRecorded) -> str:
    if not found.clocked_sessions:
        return "no clock in the recording"
    of = "" if found.clocked_sessions == found.sessions else f" of {found.clocked_sessions:,}"
    return f"{compact(found.span_s)} s by the recording's own clock{of}"


def _gaps(found: HowRecorded) -> str:
    if not found.clocked_sessions:
        return "not held against a clock"
    share = f" ({found.gaps_s / found.span_s:.0%} of the span)" if found.span_s else ""
    return f"{compact(found.gaps_s)} s between rounds{share}"


def _rounds(found: HowRecorded) -> str:
    if not found.counted_sessions:
        return f"{found.rounds:,}; the recording counts no calls"
    of = "" if found.counted_sessions == found.sessions else f" in {found.counted_sessions:,}"
    return f"{found.counted_rounds:,} of {found.calls:,} recorded calls{of}"


def _parts(found: HowRecorded) -> str:
    """What of the prompts and outputs the recording tells apart."""
    known = (
        (found.cached_tokens, "of prompts were read from a cache"),
        (found.reasoning_tokens, "of outputs were reasoning"),
    )
    return ", ".join(f"{count:,} {what}" for count, what in known if count is not None)


def _repaired(found: HowRecorded) -> str:
    if not found.repairs:
        return "nothing"
    kinds = ", ".join(f"{kind} ({number:,})" for kind, number in found.repairs.items())
    return f"in {found.repaired_sessions:,} sessions: {kinds}"


def _left_out(found: HowRecorded) -> str:
    parts = [
        f"{found.left_out:,} files, rows or sessions" if found.left_out else "",
        f"{found.unawaited:,} sub-agents that nothing waits for" if found.unawaited else "",
    ]
    return ", ".join(part for part in parts if part) or "nothing"


def _differences(found: HowRecorded) -> Iterator[str]:
    for name, sentence in found.differences:
        yield f"{name}: {sentence}"
    more = found.differing_sessions - len({name for name, _ in found.differences})
    if more > 0:
        yield f"{more:,} more sessions"
