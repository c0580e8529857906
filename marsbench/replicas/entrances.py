"""Admission by each replica: a session waits where the router has put it.

A backend's controller says whether it is of each engine or of all (`Admission.per_engine`). Where
it is of each, the router is asked for a session's first round when that arrives, and its answer is
kept until the replica's controller lets the session in. The controller sees its own engine, and the
sessions whose last round is there: one that a later round takes elsewhere is let in there at once,
and for the controller that it left it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from marsbench.core.entrance import Entrance
from marsbench.core.session import Generate, Prompt, play
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.sessions import Emit, Engine, LiveSession, SimSessions
from marsbench.core.sim.tools import SimTools
from marsbench.replicas.placing import Placing
from marsbench.replicas.replica import Replica
from marsbench_backends import signals
from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.vllm.decisions import Entries, ModeTimes


class _SharedEntries(Entries):
    """Of one entrance among several: counts are those of all, and modes are added up."""

    def __init__(self, all_of_them: Entries) -> None:
        super().__init__()
        self.sessions, self.reasons = all_of_them.sessions, all_of_them.reasons
        self._given = all_of_them._given
        self.modes = ModeTimes()
        self.modes.seconds = all_of_them.modes.seconds


class Entrances(Entrance):
    """One for each replica.

    opened: makes the entrance of a replica, which lets in by the given call.
    place: where a session that has arrived is to wait.
    own: the rest of what an entrance asks for.
    """

    def __init__(
        self,
        num: int,
        opened: Callable[[int, Callable[[str], None]], Entrance],
        place: Callable[[str], int],
        own: Sequence[Any],
    ) -> None:
        super().__init__(Admission(), *own)
        self._opened = opened
        self._place = place
        self._at: dict[str, int] = {}
        self._known: dict[str, Candidate] = {}
        self._doors = [self._door(index) for index in range(num)]

    def _door(self, index: int) -> Entrance:
        door = self._opened(index, self._enters)
        door.entries = _SharedEntries(self.entries)
        return door

    def arrive(self, candidate: Candidate, parent: str | None = None) -> None:
        if parent is not None:
            self._let_in(candidate.session_id)
            return
        self.entries.came()
        self._known[candidate.session_id] = candidate
        self._stand(candidate)

    def _stand(self, candidate: Candidate) -> None:
        index = self._at[candidate.session_id] = self._place(candidate.session_id)
        self._doors[index].wait(candidate)

    def _enters(self, session_id: str) -> None:
        self._in_flight[session_id] = self._known[session_id]
        self._let_in(session_id)

    def leave(self, session_id: str) -> None:
        self._in_flight.pop(session_id, None)
        self._known.pop(session_id, None)
        index = self._at.pop(session_id, None)
        if index is not None:
            self._doors[index].leave(session_id)

    def ask(self) -> None:
        for door in self._doors:
            door.ask()

    def goes(self, session_id: str, index: int) -> Entrance | None:
        """A round of it goes to this replica; which entrance a session in flight has left."""
        before, candidate = self._at.get(session_id), self._in_flight.get(session_id)
        if candidate is None or before == index:
            return None
        self._at[session_id] = index
        self._doors[index].take_back(candidate)
        if before is None:
            return None
        self._doors[before].leave(session_id)
        return self._doors[before]

    def close(self, index: int, is_gone: bool) -> list[str]:
        """The replica takes no more rounds, or is gone with its controller: who waited there."""
        door = self._doors[index]
        waiting = list(door.waiting)
        door._waiting.clear()  # they have not left: who was held back counts once, wherever
        door.entries.modes.enter(None, self._state(()).now)
        if is_gone:
            for session_id in door.in_flight:
                del self._at[session_id]
            self._doors[index] = self._door(index)
        return waiting

    def stand_again(self, session_ids: Sequence[str]) -> None:
        """They wait where the router puts them now, in the order of their arrival."""
        for session_id in session_ids:
            self._stand(self._known[session_id])


class _Ears(Admission):
    """Passes what sessions tell their controller on to that of the replica which they are at."""

    def __init__(self, tell: Callable[[signals.Signal], None]) -> None:
        self._tell = tell

    def observe(self, signal: signals.Signal) -> None:
        self._tell(signal)


class _ClairvoyantEars(_Ears):
    clairvoyant: ClassVar[bool] = True


class FleetSessions(SimSessions):
    """Sessions in front of replicas that have a controller each.

    replicas: the fleet's own list, in which one that left is replaced.
    """

    def __init__(
        self,
        clock: VirtualClock,
        tools: SimTools,
        replicas: Sequence[Replica],
        placing: Placing,
        fleet: Engine,
        emit: Emit,
    ) -> None:
        self._replicas = replicas
        self._placing = placing
        self._controllers: dict[int, Admission] = {}
        self._where: dict[str, int] = {}  # of each session's last round
        clairvoyant = replicas[0].engine.admission().clairvoyant
        ears = _ClairvoyantEars if clairvoyant else _Ears
        super().__init__(clock, tools, ears(self._hear), fleet, emit)
        own = (self._state, self._let_in, self._next_tick)
        self._doors = self._entrance = Entrances(len(replicas), self._opened, self._placed, own)

    def _opened(self, index: int, let_in: Callable[[str], None]) -> Entrance:
        self._controllers[index] = self._replicas[index].engine.admission()

        def state(in_flight: Sequence[Candidate]) -> EngineState:
            replica = self._replicas[index]
            queried, hit = replica.engine.prefix_tokens()
            return replace(
                self._state(in_flight),
                num_blocks=replica.num_blocks,
                free_blocks=replica.free_blocks(self._clock.now),
                num_queried_tokens=queried,
                num_hit_tokens=hit,
            )

        return Entrance(self._controllers[index], state, let_in, self._next_tick)

    def _placed(self, session_id: str) -> int:
        session = self._waiting[session_id].session
        first = next(play(session))
        assert isinstance(first, Generate)
        return self._placing.keep(session, first.prompt)

    def _hear(self, signal: signals.Signal) -> None:
        """A round that is submitted is told of when it is known where."""
        if isinstance(signal, signals.RoundSubmitted) or signal.session_id not in self._where:
            return
        self._controllers[self._where[signal.session_id]].observe(signal)
        if isinstance(signal, signals.SessionEnded):
            del self._where[signal.session_id]

    def submitted(self, live: LiveSession, prompt: Prompt, index: int) -> None:
        """The round goes to this replica."""
        now, session = self._clock.now, live.session
        before = self._where.get(session.id, index)
        if before != index:
            ended = signals.SessionEnded(now, session.id, prompt.round)
            self._controllers[before].observe(ended)
        self._where[session.id] = index
        left = self._doors.goes(session.id, index)
        facts = (session.id, prompt.round, prompt.num_tokens, live.parent)
        self._controllers[index].observe(signals.RoundSubmitted(now, *facts, tenant=session.tenant))
        if left is not None:
            left.ask()

    def close(self, index: int, is_gone: bool) -> list[str]:
        """The replica takes no more rounds, or is gone with its controller: who waited there."""
        if is_gone:
            self._where = {one: where for one, where in self._where.items() if where != index}
        waiting = self._doors.close(index, is_gone)
        for session_id in waiting:
            self._placing.take_back((session_id, 0))
        return waiting

    def stand_again(self, session_ids: Sequence[str]) -> None:
        """They wait where the router puts them now."""
        self._doors.stand_again(session_ids)
