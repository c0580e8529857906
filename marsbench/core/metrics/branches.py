"""Sessions that fan out: what lay on the way that took longest, and who waited at a join.

A round fans out where two sub-agents or more run after it; they are branches, and join when the
next round is ready. The critical path is walked from a session's end: at each join it goes through
the call that ended last.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from marsbench.core.events import ToolEnd, ToolStart
from marsbench.core.metrics.percentiles import Distribution, describe
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.sessions import SessionRecord, roots
from marsbench.core.metrics.stream import Stream


class BranchFigures(TypedDict):
    """Of the sessions that finished and fanned out, at any depth.

    critical_rounds: LLM calls on a session's critical path; critical_llm_s: seconds of these, from
        ready to answered; critical_share: these by the seconds of all of its LLM calls.
    slack_s: of each branch, from its end to the join. slack_share: all slack by the seconds from
        each fan-out to its join, branch by branch: 0 where all end at once.
    """

    sessions: int
    fan_outs: int
    branches: int
    critical_rounds: Distribution
    critical_llm_s: Distribution
    critical_share: float | None
    slack_s: Distribution
    slack_share: float | None


@dataclass(frozen=True, slots=True)
class _Call:
    child: str | None
    started_at: float
    ended_at: float


@dataclass(slots=True)
class _FanOut:
    """The calls after one round, in the order in which they ended."""

    calls: list[_Call] = field(default_factory=list)

    @property
    def branches(self) -> list[_Call]:
        agents = [call for call in self.calls if call.child is not None]
        return agents if len(agents) > 1 else []

    @property
    def joined_at(self) -> float:
        return self.calls[-1].ended_at


class _Sessions:
    """Rounds and calls by session."""

    def __init__(self, stream: Stream, rounds: Sequence[RoundRecord]) -> None:
        starts = {(*e.key, e.call): e for e in stream.of(ToolStart)}
        self._pauses: defaultdict[str, dict[int, _FanOut]] = defaultdict(dict)
        self._llm_s: defaultdict[str, dict[int, float]] = defaultdict(dict)
        for end in stream.of(ToolEnd):
            start = starts[(*end.key, end.call)]
            pause = self._pauses[end.session].setdefault(end.round, _FanOut())
            pause.calls.append(_Call(start.child, start.at, end.at))
        for record in rounds:
            if record.ended_at is not None:
                self._llm_s[record.session][record.round] = record.ended_at - record.ready_at

    def fan_outs(self, session: str) -> list[_FanOut]:
        """Of the session and all below it."""
        own = [one for one in self._pauses[session].values() if one.branches]
        return own + [one for child in self._children(session) for one in self.fan_outs(child)]

    def llm_s(self, session: str) -> list[float]:
        """Seconds of each LLM call of the session and of all below it."""
        below = (seconds for child in self._children(session) for seconds in self.llm_s(child))
        return [*self._llm_s[session].values(), *below]

    def critical_llm_s(self, session: str) -> list[float]:
        """The same of those on its critical path."""
        lasts = (one.calls[-1].child for one in self._pauses[session].values())
        below = (s for child in lasts if child is not None for s in self.critical_llm_s(child))
        return [*self._llm_s[session].values(), *below]

    def _children(self, session: str) -> list[str]:
        calls = (call for one in self._pauses[session].values() for call in one.calls)
        return [call.child for call in calls if call.child is not None]


def branch_figures(
    stream: Stream, sessions: Sequence[SessionRecord], rounds: Sequence[RoundRecord]
) -> BranchFigures | None:
    """Of these sessions; None where nothing in the run fanned out."""
    started = Counter(e.key for e in stream.of(ToolStart) if e.child is not None)
    if max(started.values(), default=0) < 2:
        return None
    tree = _Sessions(stream, rounds)
    finished = [s.session for s in roots(sessions) if s.outcome == "finished"]
    fan_outs = {name: found for name in finished if (found := tree.fan_outs(name))}
    names = [*fan_outs]
    joins = [(one, call) for found in fan_outs.values() for one in found for call in one.branches]
    critical = [tree.critical_llm_s(name) for name in names]
    slack_s = [one.joined_at - call.ended_at for one, call in joins]
    return {
        "sessions": len(names),
        "fan_outs": sum(map(len, fan_outs.values())),
        "branches": len(joins),
        "critical_rounds": describe(float(len(path)) for path in critical),
        "critical_llm_s": describe(map(math.fsum, critical)),
        "critical_share": _share(
            map(math.fsum, critical), (math.fsum(tree.llm_s(name)) for name in names)
        ),
        "slack_s": describe(slack_s),
        "slack_share": _share(slack_s, (one.joined_at - call.started_at for one, call in joins)),
    }


def _share(part: Iterable[float], whole: Iterable[float]) -> float | None:
    total = math.fsum(whole)
    return math.fsum(part) / total if total else None
