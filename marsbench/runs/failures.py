"""Why sessions failed, counted: reasons that differ in numbers and names alone are one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from marsbench.core.metrics.sessions import SessionRecord

MAX_FAILED = 0.01
"""Above this share of failed sessions a run is not valid, unless it was given another."""
SETTING = "max_failed"
SHOWN, LONGEST = 3, 100

_VARYING = re.compile(
    r"(HTTP \d{3})"  # what stays
    r"|sub-agent \S+:|'[^']*'|\"[^\"]*\"|https?://\S+"
    r"|0x[0-9a-fA-F]+|\b(?=[0-9a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]+)*|\d+(?:[.:]\d+)*"
)


class Failure(TypedDict):
    """Sessions that failed for one reason, and the first of them with what was said of it."""

    reason: str
    sessions: int
    session: str
    example: str


def failures_of(sessions: Iterable[SessionRecord]) -> list[Failure]:
    """By reason, the most frequent first; sub-agents fail with their parents."""
    found: dict[str, Failure] = {}
    for record in sessions:
        if record.parent is not None or record.outcome != "failed":
            continue
        said = record.reason or "no reason was given"
        first = Failure(reason=kind(said), sessions=0, session=record.session, example=said)
        found.setdefault(first["reason"], first)["sessions"] += 1
    return sorted(found.values(), key=lambda one: (-one["sessions"], one["reason"]))


def kind(reason: str) -> str:
    """The reason without what is another one in every session."""
    text = " ".join(_VARYING.sub(lambda found: found[1] or "…", reason).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def count(number: int, thing: str) -> str:
    """ "1 time", "12 times": what prints is not loaded by what runs."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def in_words(failures: Sequence[Mapping[str, Any]]) -> str:
    """ "12 times HTTP 503: … (as s7), 3 times no byte came for … s (as s2), and 2 more reasons"."""
    told = [
        f"{count(one['sessions'], 'time')} {one['reason']} (as {one['session']})"
        for one in failures[:SHOWN]
    ]
    if len(failures) > SHOWN:
        told.append(f"and {count(len(failures) - SHOWN, 'more reason')}")
    return ", ".join(told)


def together(several: Iterable[Sequence[Mapping[str, Any]]]) -> list[Failure]:
    """The failures of several runs as those of one."""
    found: dict[str, Failure] = {}
    for failures in several:
        for one in failures:
            first = Failure(**{**one, "sessions": 0})  # type: ignore[typeddict-item]
            found.setdefault(one["reason"], first)["sessions"] += one["sessions"]
    return sorted(found.values(), key=lambda one: (-one["sessions"], one["reason"]))


def too_many(failed: int, arrived: int, bound: float) -> str | None:
    """Why a run in which so many failed does not count; None where it does."""
    if not arrived or failed / arrived <= bound:
        return None
    return (
        f"{failed} of {count(arrived, 'session')} failed, more than {100 * bound:g} % "
        "(--max-failed)"
    )
