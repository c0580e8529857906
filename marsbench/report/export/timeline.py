"""What each session of a run did when, as spans: what a trace viewer draws."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marsbench.core.events import EVENT_TYPES, GpuStart, KvUsage, Preempted, ToolEnd, ToolStart
from marsbench.core.metrics.rounds import RoundRecord, rounds_of
from marsbench.core.metrics.sessions import SessionRecord, sessions_of
from marsbench.core.metrics.stream import Stream
from marsbench.runs import RunConfig, RunFolder

Facts = Mapping[str, str | int | float | bool | None]
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Phase:
    """Something that a session did from one instant to another.

    kind: "admission", "engine" or "tool". ended: whether its end was seen; of what was going on
        when the run stopped, the end is that.
    """

    kind: str
    name: str
    begin_at: float
    end_at: float
    facts: Facts = field(default_factory=dict)
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. child: the sub-agent's session, where it is one."""

    key: Key
    child: str | None
    phase: Phase


class RunTimeline:
    """The sessions of a run in order of arrival, sub-agents behind the one that waits for them."""

    def __init__(self, name: str, config: RunConfig, stream: Stream) -> None:
        self.name = name
        self.config = config
        self.stream = stream
        self.rounds = rounds_of(stream)
        self.sessions = _families(sessions_of(stream, self.rounds))
        self.calls = _calls(stream)
        self.preemptions: defaultdict[str, list[Preempted]] = defaultdict(list)
        self._rounds: defaultdict[str, list[RoundRecord]] = defaultdict(list)
        self._starts: defaultdict[Key, list[float]] = defaultdict(list)
        self._preempted: defaultdict[Key, list[float]] = defaultdict(list)
        for start in stream.of(GpuStart):
            self._starts[start.key].append(start.at)
        for event in stream.of(Preempted):
            self._preempted[event.key].append(event.at)
            self.preemptions[event.session].append(event)
        for record in self.rounds:
            self._rounds[record.session].append(record)

    def of_session(self, session: str) -> Sequence[RoundRecord]:
        """Its rounds, in order."""
        return self._rounds.get(session, ())

    @staticmethod
    def read(path: Path) -> RunTimeline:
        """Of a run's folder, even one that was cut short. Raises UsageError."""
        run = RunFolder.open(path)
        kinds = frozenset(EVENT_TYPES) - {KvUsage.kind}
        return RunTimeline(path.resolve().name, run.config, run.stream(kinds))

    def all_of(self, session: SessionRecord) -> Iterator[Phase]:
        """All that it waited for, that the engine did for it, and its tools."""
        wait = self.admission(session)
        if wait is not None:
            yield wait
        for record in self.of_session(session.session):
            yield from self.phases(record)
        yield from (call.phase for call in self.calls.get(session.session, ()))

    def admission(self, session: SessionRecord) -> Phase | None:
        """Its wait; None where it was let in as it came."""
        admitted_at = session.admitted_at
        if admitted_at == session.arrived_at:
            return None
        end_at = session.ended_at if admitted_at is None else admitted_at
        return self._phase("waiting for admission", session.arrived_at, end_at, {}, "admission")

    def phases(self, record: RoundRecord) -> Iterator[Phase]:
        """Of a round in the engine: queued, prefill, decode, and again after a preemption."""
        if record.submitted_at is None:
            return
        key = (record.session, record.round)
        starts, left = self._starts[key], self._preempted[key]
        facts: Facts = {"round": record.round, "prompt_tokens": record.prompt_tokens}
        if not starts:
            yield self._phase("queued", record.submitted_at, record.first_token_at, facts)
            if record.first_token_at is not None:
                yield self._phase("decode", record.first_token_at, record.ended_at, facts)
            return
        for number, start in enumerate(starts):
            since = left[number - 1] if number else record.submitted_at
            yield self._phase("queued again" if number else "queued", since, start, facts)
            until = left[number] if number < len(left) else record.ended_at
            yield from self._running(record, start, until, facts)
        if len(left) == len(starts):
            yield self._phase("queued again", left[-1], None, facts)

    def _running(
        self, record: RoundRecord, start: float, until: float | None, facts: Facts
    ) -> Iterator[Phase]:
        first = record.first_token_at
        end = self.stream.end_s if until is None else until
        if first is not None and start < first < end:
            yield Phase("engine", "prefill", start, first, _with(facts, record))
            start = first
        is_decode = first is not None and first <= start
        about = facts if is_decode else _with(facts, record)
        yield self._phase("decode" if is_decode else "prefill", start, until, about)

    def _phase(
        self, name: str, begin: float, end: float | None, facts: Facts, kind: str = "engine"
    ) -> Phase:
        end_at = max(begin, self.stream.end_s) if end is None else end
        return Phase(kind, name, begin, end_at, facts, ended=end is not None)


def _with(facts: Facts, record: RoundRecord) -> Facts:
    """Of a prefill, what it found and what it had to compute again."""
    return {
        **facts,
        "cached_tokens": record.cached_tokens,
        "recomputed_tokens": record.recomputed_tokens,
    }


def _families(sessions: Sequence[SessionRecord]) -> tuple[SessionRecord, ...]:
    children: defaultdict[str | None, list[SessionRecord]] = defaultdict(list)
    known = {s.session for s in sessions}
    for session in sessions:
        children[session.parent if session.parent in known else None].append(session)
    return tuple(s for top in children[None] for s in _family(top, children))


def _family(
    top: SessionRecord, children: Mapping[str | None, Sequence[SessionRecord]]
) -> Iterator[SessionRecord]:
    yield top
    for child in children.get(top.session, ()):
        yield from _family(child, children)


def _calls(stream: Stream) -> Mapping[str, Sequence[Call]]:
    """By session, in the order in which they began."""
    ends = {(*e.key, e.call): e.at for e in stream.of(ToolEnd)}
    found: defaultdict[str, list[Call]] = defaultdict(list)
    for start in stream.of(ToolStart):
        end_at = ends.get((*start.key, start.call))
        facts: Facts = {
            "round": start.round,
            "call": start.call,
            "child": start.child,
            "burns_cpu": start.burns_cpu,
        }
        until = max(start.at, stream.end_s) if end_at is None else end_at
        phase = Phase("tool", start.name, start.at, until, facts, end_at is not None)
        found[start.session].append(Call(start.key, start.child, phase))
    return found
