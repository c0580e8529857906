"""What every event stream must satisfy, whatever the engine and the policy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from marsbench.core import events
from marsbench.core.metrics.cache import OTHER_OWNER, PREFIX_OWNER


def check_stream(stream: Iterable[events.Event], total_blocks: int | None = None) -> list[str]:
    """Every violation as one sentence with its time; an empty list when the stream is sound.

    Times never go back; sessions arrive, are admitted and end at most once, and nothing happens
    to them before or after; a round is ready, submitted, started, answered and ended in this
    order and once each; preemptions and resumptions alternate; tool calls and holds pair up;
    nothing is swapped of a session that is not under way, nor comes back for a round that runs;
    a session that finished has ended all of its rounds, and a sub-agent before its call; used,
    held and free blocks are never negative nor, together, more than total_blocks.
    """
    checker = Checker(total_blocks)
    for _ in checker.watch(stream):
        continue
    return checker.violations


@dataclass(slots=True)
class _Round:
    """How far a round has come: the kinds of event seen, and whether it lost its blocks.

    The kinds are bits of a number, since a set for every round of a long run takes 20 times that.
    """

    bits: int = 0
    preempted: bool = False

    def note(self, kind: str) -> None:
        self.bits |= _BITS[kind]

    def has(self, kind: str) -> bool:
        return bool(self.bits & _BITS[kind])


@dataclass(slots=True)
class _Session:
    """What is open in a session."""

    admitted: bool = False
    ended: bool = False
    held: int = 0
    replicas: set[int] = field(default_factory=set)
    rounds: dict[int, _Round] = field(default_factory=dict)
    open_calls: dict[tuple[int, int], str | None] = field(default_factory=dict)

    def open_rounds(self) -> list[int]:
        return [number for number, rnd in self.rounds.items() if not rnd.has(events.GpuEnd.kind)]


# What must have been seen of a round before. An engine that cannot see when a request starts
# (a live server) emits no gpu_start, so nothing waits for one.
_BEFORE = {
    events.GpuSubmit.kind: events.RoundReady.kind,
    events.GpuStart.kind: events.GpuSubmit.kind,
    events.GpuFirstToken.kind: events.GpuSubmit.kind,
    events.GpuEnd.kind: events.GpuFirstToken.kind,
    events.Preempted.kind: events.GpuStart.kind,
    events.PromptCached.kind: events.GpuFirstToken.kind,
    events.SwappedIn.kind: events.GpuSubmit.kind,
    events.HostLoaded.kind: events.GpuSubmit.kind,
    events.Placed.kind: events.GpuSubmit.kind,
    events.KvMoved.kind: events.GpuSubmit.kind,
    events.RoundLost.kind: events.Placed.kind,
}
_BITS = {kind: 1 << place for place, kind in enumerate((events.RoundReady.kind, *_BEFORE))}
_AFTER_FIRST = tuple(
    kind for kind, before in _BEFORE.items() if before == events.GpuFirstToken.kind
)


class Checker:
    """Follows a stream and writes down in `violations` what cannot be; see `check_stream`."""

    def __init__(self, total_blocks: int | None = None, unmeasured: Collection[str] = ()) -> None:
        self.violations: list[str] = []
        self._total_blocks = total_blocks
        # A client that does not stream sees a round's end and never its first token.
        seen = events.GpuFirstToken.kind not in unmeasured
        self._before = (
            _BEFORE if seen else _BEFORE | dict.fromkeys(_AFTER_FIRST, events.GpuSubmit.kind)
        )
        self._now = 0.0
        self._sessions: dict[str, _Session] = {}
        self._rules: dict[type[events.Event], Callable[..., object]] = {
            events.SessionArrived: self._arrived,
            events.SessionAdmitted: self._admitted,
            events.SessionEnded: self._ended,
            events.RoundReady: self._ready,
            events.GpuSubmit: self._once,
            events.GpuStart: self._started,
            events.GpuFirstToken: self._once,
            events.GpuEnd: self._once,
            events.Preempted: self._preempted,
            events.ToolStart: self._tool_started,
            events.ToolEnd: self._tool_ended,
            events.Evicted: self._evicted,
            events.SwappedOut: self._moved,
            events.SwappedIn: self._came_back,
            events.HostEvicted: self._moved,
            events.HostStored: self._evicted,
            events.HostLoaded: self._came_back,
            events.HostDropped: self._evicted,
            events.HostUnderWay: lambda _: None,
            events.Held: self._held,
            events.Unheld: self._unheld,
            events.Placed: self._placed,
            events.KvMoved: self._came_back,
            events.ReplicaBusy: lambda _: None,
            events.ReplicaChanged: lambda _: None,
            events.RoundLost: self._lost,
            events.KvUsage: self._usage,
            events.PromptCached: self._round,
            events.PreemptionCount: lambda _: None,
            events.Unmeasured: lambda _: None,
        }

    def watch(self, stream: Iterable[events.Event]) -> Iterator[events.Event]:
        """The same events, checked as they pass: a long stream is read only once."""
        for event in stream:
            self._see(event)
            yield event

    def _see(self, event: events.Event) -> None:
        if event.at < self._now:
            self._say(event, f"time went back from {self._now:g} s")
        self._now = max(self._now, event.at)
        self._rules[type(event)](event)

    def _say(self, event: events.Event, what: str) -> None:
        self.violations.append(f"{event.kind} at {event.at:g} s: {what}")

    def _of_session(self, event: events.SessionEvent, what: str) -> None:
        self._say(event, f"session {event.session} {what}")

    def _of_round(self, event: events.RoundEvent, what: str) -> None:
        self._say(event, f"round {event.round} of session {event.session}{what}")

    def _of_call(self, event: events.ToolStart | events.ToolEnd, what: str) -> None:
        self._say(event, f"call {event.call} of {event.session} {what}")

    def _some(self, event: events.Event, blocks: int, what: str) -> None:
        if blocks < 1:
            self._say(event, f"{blocks} blocks were {what}")

    def _session(self, event: events.SessionEvent) -> _Session:
        """The session, which must be under way; an unknown one is reported once."""
        session = self._sessions.get(event.session)
        if session is None:
            self._of_session(event, "has not arrived")
            session = self._sessions[event.session] = _Session()
        elif session.ended:
            self._of_session(event, "has ended")
        return session

    def _arrived(self, event: events.SessionArrived) -> None:
        if event.session in self._sessions:
            self._of_session(event, "arrived twice")
        self._sessions.setdefault(event.session, _Session())

    def _admitted(self, event: events.SessionAdmitted) -> None:
        session = self._session(event)
        if session.admitted:
            self._of_session(event, "was admitted twice")
        session.admitted = True

    def _ended(self, event: events.SessionEnded) -> None:
        session = self._session(event)
        session.ended = True
        if event.outcome == "failed":
            return
        for number in session.open_rounds():
            self._say(event, f"round {number} of session {event.session} has not ended")
        for number, call in session.open_calls:
            self._say(event, f"call {call} of round {number} of {event.session} has not ended")

    def _ready(self, event: events.RoundReady) -> None:
        session = self._session(event)
        if event.round in session.rounds:
            self._of_round(event, " came twice")
        elif session.open_rounds():
            self._of_session(event, "has another round under way")
        session.rounds.setdefault(event.round, _Round()).note(event.kind)

    def _round(self, event: events.RoundEvent) -> _Round:
        """The round, which must have come as far as this event needs."""
        rnd = self._session(event).rounds.setdefault(event.round, _Round())
        needed = self._before[event.kind]
        if not rnd.has(needed):
            self._of_round(event, f" has no {needed}")
        if rnd.has(events.GpuEnd.kind):
            self._of_round(event, " has ended")
        return rnd

    def _once(self, event: events.RoundEvent) -> None:
        rnd = self._round(event)
        if rnd.has(event.kind) and event.kind != events.GpuEnd.kind:
            self._of_round(event, " had this before")
        if rnd.preempted:
            self._of_round(event, " is preempted")
        rnd.note(event.kind)

    def _started(self, event: events.GpuStart) -> None:
        rnd = self._round(event)
        if event.resumed != rnd.has(events.GpuStart.kind):
            self._of_round(event, f": resumed={event.resumed}")
        if event.resumed and not rnd.preempted:
            self._of_round(event, " was not preempted")
        rnd.preempted = False
        rnd.note(event.kind)

    def _preempted(self, event: events.Preempted) -> None:
        rnd = self._round(event)
        if rnd.preempted:
            self._of_round(event, " is not running")
        rnd.preempted = True

    def _tool_started(self, event: events.ToolStart) -> None:
        calls = self._session(event).open_calls
        if (event.round, event.call) in calls:
            self._of_call(event, "started twice")
        calls[event.round, event.call] = event.child

    def _tool_ended(self, event: events.ToolEnd) -> None:
        calls = self._session(event).open_calls
        if (event.round, event.call) not in calls:
            self._of_call(event, "has not started")
        child = self._sessions.get(calls.pop((event.round, event.call), None) or "")
        if child is not None and not child.ended:
            self._say(event, f"the sub-agent of call {event.call} of {event.session} goes on")

    def _evicted(
        self,
        event: events.Evicted | events.HostStored | events.HostDropped,
    ) -> None:
        known = event.owner in self._sessions or event.owner == OTHER_OWNER
        if not event.owner.startswith(PREFIX_OWNER) and not known:
            self._say(event, f"owner {event.owner} has not arrived")
        self._some(event, event.blocks, "evicted" if event.kind == "evicted" else "moved")

    def _moved(self, event: events.SwappedOut | events.HostEvicted) -> None:
        """What a session has in host memory goes with it, so that none moves after its end, but at
        a replica that it has left.
        """
        known = self._sessions.get(event.session)
        if known is None or len(known.replicas) < 2:
            self._session(event)
        self._some(event, event.blocks, "moved")

    def _came_back(self, event: events.SwappedIn | events.HostLoaded | events.KvMoved) -> None:
        rnd = self._round(event)
        if rnd.has(events.GpuStart.kind) and not rnd.preempted:
            self._of_round(event, " is running")
        self._some(event, event.blocks, "moved")

    def _placed(self, event: events.Placed) -> None:
        """Once, and once more each time that its replica left, which may have cut it off."""
        rnd = self._round(event)
        if rnd.has(event.kind):
            self._of_round(event, " had this before")
        rnd.note(event.kind)
        self._session(event).replicas.add(event.replica)

    def _lost(self, event: events.RoundLost) -> None:
        """It may be placed again."""
        rnd = self._round(event)
        rnd.bits &= ~_BITS[events.Placed.kind]

    def _held(self, event: events.Held) -> None:
        """Once at each replica that it has been at."""
        session = self._session(event)
        if session.held >= max(1, len(session.replicas)):
            self._of_session(event, "is held already")
        session.held += 1

    def _unheld(self, event: events.Unheld) -> None:
        """A hold may end with its session, just after it."""
        session = self._sessions.get(event.session)
        if session is None or not session.held:
            self._of_session(event, "is not held")
        else:
            session.held -= 1

    def _usage(self, event: events.KvUsage) -> None:
        parts = [event.used_blocks, event.held_blocks, event.free_blocks]
        known = [part for part in parts if part is not None]
        if any(part < 0 for part in known):
            self._say(event, f"a negative number of blocks: {known}")
        if self._total_blocks is not None and sum(known) > self._total_blocks:
            self._say(event, f"{sum(known)} blocks of {self._total_blocks}")
