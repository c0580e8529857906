"""One record for every session: when it came, was let in and ended, and what it cost it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from marsbench.core.events import SessionAdmitted, SessionArrived, SessionEnded
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.stream import Stream
from marsbench.core.session import is_warm

Outcome = Literal["finished", "failed", "unfinished"]

# A session that nothing disturbed must have a slowdown of 1 although its completion time is the
# difference of two clock readings; nine decimals are far above that rounding, far below any effect.
SLOWDOWN_DECIMALS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """What one session experienced; `parent` marks a sub-agent.

    completion_s: arrival to the end of its last round, sub-agents and admission included; None
        unless it finished. num_rounds counts rounds that ended. Tokens are context lengths:
        initial_tokens of the first prompt, peak_tokens of the longest prompt with its output.
    """

    session: str
    tenant: str
    parent: str | None
    arrived_at: float
    admitted_at: float | None
    ended_at: float | None
    outcome: Outcome
    reason: str | None
    completion_s: float | None
    admission_wait_s: float | None
    ideal_s: float | None
    slowdown: float | None
    num_rounds: int
    initial_tokens: int | None
    peak_tokens: int | None
    output_tokens: int
    preemptions: int


def sessions_of(
    stream: Stream, rounds: Sequence[RoundRecord], ideal_s: Mapping[str, float] | None = None
) -> tuple[SessionRecord, ...]:
    """A record for every session that arrived, sub-agents included, in order of arrival.

    ideal_s: seconds that each session takes alone (docs/metrics.md); sessions it does not name
    have no slowdown. Raises ValueError for an ideal time that is not positive.
    """
    ideals = ideal_s or {}
    admitted = {e.session: e.at for e in stream.of(SessionAdmitted)}
    ends = {e.session: e for e in stream.of(SessionEnded)}
    own_rounds: defaultdict[str, list[RoundRecord]] = defaultdict(list)
    for record in rounds:
        own_rounds[record.session].append(record)
    return tuple(
        _record(e, admitted.get(e.session), ends.get(e.session), own_rounds[e.session], ideals)
        for e in stream.of(SessionArrived)
    )


def _record(
    arrival: SessionArrived,
    admitted_at: float | None,
    end: SessionEnded | None,
    rounds: Sequence[RoundRecord],
    ideals: Mapping[str, float],
) -> SessionRecord:
    finished = end is not None and end.outcome == "finished"
    completion_s = end.at - arrival.at if end is not None and finished else None
    ideal = ideals.get(arrival.session)
    return SessionRecord(
        session=arrival.session,
        tenant=arrival.tenant,
        parent=arrival.parent,
        arrived_at=arrival.at,
        admitted_at=admitted_at,
        ended_at=end.at if end else None,
        outcome=end.outcome if end else "unfinished",
        reason=end.reason if end else None,
        completion_s=completion_s,
        admission_wait_s=None if admitted_at is None else admitted_at - arrival.at,
        ideal_s=ideal,
        slowdown=slowdown(completion_s, ideal),
        num_rounds=sum(r.ended_at is not None for r in rounds),
        initial_tokens=rounds[0].prompt_tokens if rounds else None,
        peak_tokens=_peak_tokens(rounds),
        output_tokens=sum(r.output_tokens or 0 for r in rounds),
        preemptions=sum(r.preemptions for r in rounds),
    )


def slowdown(completion_s: float | None, ideal_s: float | None) -> float | None:
    """Completion ÷ ideal, to nine decimals; None where either is unknown.

    Raises ValueError when the ideal time is not positive.
    """
    if ideal_s is not None and not ideal_s > 0:
        raise ValueError(f"an ideal time must be positive, not {ideal_s}")
    if completion_s is None or ideal_s is None:
        return None
    return round(completion_s / ideal_s, SLOWDOWN_DECIMALS)


def _peak_tokens(rounds: Sequence[RoundRecord]) -> int | None:
    lengths = [r.prompt_tokens + (r.output_tokens or 0) for r in rounds if r.prompt_tokens]
    return max(lengths, default=None)


class SessionCounts(TypedDict):
    """How many sessions came and what became of them; sub-agents are counted apart."""

    arrived: int
    finished: int
    failed: int
    unfinished: int
    sub_agents: int


def roots(sessions: Sequence[SessionRecord]) -> tuple[SessionRecord, ...]:
    """The sessions that users wait for: a sub-agent is part of its parent.

    Those in flight at the start are none of them: nobody saw how long they took.
    """
    return tuple(s for s in started(sessions) if s.parent is None)


def tops(sessions: Sequence[SessionRecord]) -> tuple[SessionRecord, ...]:
    """All but sub-agents, with those in flight at the start."""
    return tuple(s for s in sessions if s.parent is None)


def started(sessions: Sequence[SessionRecord]) -> tuple[SessionRecord, ...]:
    """The sessions and sub-agents whose start was seen: not those in flight when the run began."""
    return tuple(s for s in sessions if not is_warm(s.session))


def count(sessions: Sequence[SessionRecord]) -> SessionCounts:
    """Arrivals by outcome; finished + failed + unfinished = arrived."""
    own = roots(sessions)
    return {
        "arrived": len(own),
        "finished": sum(s.outcome == "finished" for s in own),
        "failed": sum(s.outcome == "failed" for s in own),
        "unfinished": sum(s.outcome == "unfinished" for s in own),
        "sub_agents": len(started(sessions)) - len(own),
    }
