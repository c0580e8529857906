"""What every session of every format is held to: its recording's clock, its count of calls, and
that it can be read again once it is written."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from marsbench.core.session import Session, ToolCall
from marsbench.core.workload.records import NestedJson, nested_json
from marsbench.formats.reading import ReadError, Stated
from marsbench.problems import first_problem

LEAST_UNTOLD_S = 60.0
UNTOLD_SHARE = 0.1
"""A recording that is silent on more than this of its own span, and for this long, says so."""


def gaps_s(session: Session) -> float:
    """Seconds that the session waits at least between its rounds: of calls side by side the
    longest, of a sub-agent its own gaps. No time of a model is in it."""
    pauses = (max(map(_alone_s, rnd.tools), default=0.0) for rnd in session.rounds[:-1])
    return sum(pauses)


def _alone_s(call: ToolCall) -> float:
    return call.alone_s if call.child is None else call.child.arrival_s + gaps_s(call.child)


def num_rounds(session: Session) -> int:
    """Of the session and its sub-agents."""
    return sum(len(member.rounds) for member in session.walk())


def require_fitting(session: Session, stated: Stated) -> None:
    """Raises ReadError for a session whose gaps are longer than its recording lasted.

    Each gap may be wrong by a tick of the clock, and a sum by rounding.
    """
    if stated.span_s is None:
        return
    gaps = gaps_s(session)
    slack = stated.tick_s * num_rounds(session)
    if gaps > stated.span_s * (1 + 1e-6) + slack + 1e-3:
        raise ReadError(
            f"its gaps come to {gaps:,.6g} s, but its recording lasted {stated.span_s:,.6g} s"
        )


def require_readable(session: Session) -> None:
    """Raises ReadError for a session that a workload file could not give back."""
    try:
        NestedJson.model_validate(nested_json(session), strict=True)
    except ValidationError as error:
        raise ReadError(first_problem(error)) from error


def differences(session: Session, stated: Stated) -> Iterator[str]:
    """Where the session says something else than its recording, in sentences without names."""
    rounds = num_rounds(session)
    if stated.num_calls is not None and stated.num_calls != rounds:
        yield f"{rounds:,} rounds of {stated.num_calls:,} recorded calls of a model"
    if stated.span_s is None or stated.calls_s is None:
        return
    told = gaps_s(session) + stated.calls_s
    untold = stated.span_s - told
    if untold > max(LEAST_UNTOLD_S, UNTOLD_SHARE * stated.span_s):
        yield (
            f"{untold:,.6g} s of the {stated.span_s:,.6g} s that it lasted are neither calls nor "
            "gaps"
        )
