"""N engines behind a router, on one virtual clock: one stream of sessions, one tool host.

Every round is handed to the router, which names the replica that gets it. What is due happens in
the order of time; at one instant first what is due on the clock, then ends of steps in the order
of the replicas, and then those begin that were idle. Admission is one controller for all replicas,
which sees their blocks together, or one for each (entrances.py), as the backend says.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from marsbench.core import events
from marsbench.core.session import Generate, Session
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.engine import SimConfig
from marsbench.core.sim.ledger import BlockLedger
from marsbench.core.sim.sessions import Emit, LiveSession, SimSessions
from marsbench.core.sim.tools import SimTools
from marsbench.core.sim.watchdog import Watchdog
from marsbench.errors import RunFailedError
from marsbench.garbage import without_old_garbage
from marsbench.hardware.host import ToolHost
from marsbench.replicas.changes import Changes
from marsbench.replicas.computed import ComputedAnywhere
from marsbench.replicas.config import FleetConfig
from marsbench.replicas.entrances import FleetSessions
from marsbench.replicas.lost import LostRound, Past, SentAgain
from marsbench.replicas.moves import Moves
from marsbench.replicas.ordered import OrderedEvents
from marsbench.replicas.placing import Placing
from marsbench.replicas.replica import Replica, ReplicaLoop
from marsbench.replicas.router import MovingRouter, RoundKey
from marsbench_backends.admission import Admission
from marsbench_backends.signals import Signal

WAKES_AT = attrgetter("loop.wake_at")


class Fleet:
    """Plays sessions to their end and emits every event on the way.

    seed: of the router's own draws.
    """

    def __init__(self, config: SimConfig, fleet: FleetConfig, emit: Emit, seed: int = 0) -> None:
        self.config = config
        self._clock = VirtualClock()
        self._ledger = BlockLedger(config.settings.block_size)
        self._events = OrderedEvents(emit)
        self._tools = SimTools(self._clock, ToolHost(config.tool_cores, config.tool_workers))
        self._changes = Changes(fleet.changes, fleet.num)
        self._past = Past()
        self.replicas: list[Replica] = []
        router = fleet.router.build()
        self._delay_s, self._resends = router.kv_event_delay_s, router.resends
        self._moves: Moves | None = None
        if isinstance(router, MovingRouter):
            size = config.hardware.kv_bytes_per_token
            self._moves = Moves(router, size, self.replicas, self._clock, self._events.add)
        self.replicas += [self._fresh(index) for index in range(fleet.num)]
        world = (config, self._clock, self._ledger, self.replicas, self._changes, self._moves)
        self.placing = Placing(fleet.router, router, *world, seed)
        self._each: FleetSessions | None = None
        self.sessions = self._make_sessions()
        for replica in self.replicas:
            replica.join(self.sessions)
        self._computed = ComputedAnywhere()
        self._at: dict[str, Replica] = {}  # where each session's last round is
        self._under_way: dict[RoundKey, Generate] = {}
        self._again = SentAgain()
        self._watchdog = Watchdog()
        self._next_sample = 0.0

    def _make_sessions(self) -> SimSessions:
        """Behind one controller, or behind one for each replica."""
        engine, world = self.replicas[0].engine, (self._clock, self._tools)
        controller = Admission() if engine.backend is None else engine.backend.admission
        if controller.per_engine and type(controller) is not Admission:  # that lets everyone in
            self._each = FleetSessions(*world, self.replicas, self.placing, self, self._heard)
            return self._each
        return SimSessions(*world, engine.admission(), self, self._heard)

    def _fresh(self, index: int) -> Replica:
        engine = (self.config, self._ledger, self._tools, self._heard)
        replica = Replica(index, *engine, self._delay_s)
        if self._moves is not None:
            self._moves.connect(replica)
        return replica

    @property
    def decisions(self) -> dict[str, Any] | None:
        """As a simulation's, of all replicas together; None where no policy is asked."""
        counted = [*self._past.decisions, *(one.engine.decisions for one in self.replicas)]
        total: dict[str, Counter[str]] = {}
        for one in counted:
            for name, times in (one or {}).items():
                total.setdefault(name, Counter()).update(times)
        if counted[0] is None:
            return None
        found: dict[str, Any] = {name: dict(times) for name, times in total.items()}
        return {**found, "admission": self.sessions.entries.record()}

    @property
    def modes(self) -> dict[str, float]:
        """Seconds that the controller spent in each of its modes, while sessions waited for it."""
        return self.sessions.entries.modes.seconds

    # --- what sessions ask of an engine

    def submit(self, live: LiveSession, step: Generate) -> None:
        """Ask the router, unless it was asked before, and hand the round to its replica."""
        prompt = step.prompt
        placed = self.placing.of(live.session, prompt)
        ask, index = placed.ask, placed.index
        if self._each is not None:
            self._each.submitted(live, prompt, index)
        self._at[ask.session] = self.replicas[index]
        self._under_way[ask.key] = step
        findable = self._computed.findable(ask, live.computed, prompt)
        self._events.add(events.Placed(self._clock.now, ask.session, ask.round, index, findable))
        replica = self._reach(index)
        if placed.source is not None:
            replica.peers.ask(f"{ask.session}#{ask.round}", placed.source)
        replica.engine.submit(live, step)

    def tell(self, signal: Signal) -> None:
        """To the replica that has the session; one that it left hears no more of it."""
        replica = self._at[signal.session_id]
        if replica is self.replicas[replica.index]:  # else it is gone
            self._reach(replica.index).engine.tell(signal)

    def fork(self, parent: Session, child: Session) -> None:
        """A child is about to begin with its parent's context."""
        self._ledger.fork(parent, child)

    def forget(self, session: Session) -> None:
        """The session has ended."""
        self._ledger.forget(session)
        self._at.pop(session.id, None)

    def kv_blocks(self) -> tuple[int, int, int]:
        now, size = self._clock.now, self._ledger.block_size
        there = self._there()
        free = sum(replica.free_blocks(now) for replica in there)
        return self.config.num_blocks * len(there), free, size

    def prefix_tokens(self) -> tuple[int, int]:
        found = [self._past.prefix_tokens, *(one.engine.prefix_tokens() for one in self.replicas)]
        return sum(asked for asked, _ in found), sum(hit for _, hit in found)

    def _there(self) -> list[Replica]:
        """Those that have not left."""
        return [one for one in self.replicas if one.index in self._changes.there]

    def _reach(self, index: int) -> Replica:
        replica = self.replicas[index]
        replica.loop.reach(self._clock.now)
        return replica

    def _heard(self, event: events.Event) -> None:
        """What an engine writes down; the router sees answers pass."""
        if isinstance(event, events.GpuFirstToken):
            self._computed.first_token(event.key)
            self.placing.first_token(event.key, event.at)
        elif isinstance(event, events.GpuEnd):
            self.placing.views.books.ended(event.key)
            del self._under_way[event.key]
        told = self._again.told(event)
        if told is not None:
            self._events.add(told)

    # --- the run

    def run(self, sessions: Sequence[Session]) -> None:
        """Play all sessions.

        Raises RunFailedError when nothing can go on, and when an answer cannot be carried out.
        """
        with without_old_garbage():
            self.sessions.play(sessions, self.config.lanes, self._play)

    def _play(self) -> None:
        while math.isfinite(at := min(self._clock.next_due, (loop := self._next_wake()).wake_at)):
            if self._changes.next_at <= at:
                self._change(self._changes.next_at)
            elif self._clock.next_due <= at:
                self._look(at)
                self._do(at)
            else:
                self._look(at)
                self._wake(loop, at)
            if self._clock.next_due > self._clock.now:
                self._start_idle()
            self._pass_on()
        stuck = next((one for one in self.replicas if one.has_work), None)
        if stuck is not None:
            raise stuck.loop.stuck()
        for replica in self.replicas:
            busy_s, evicted = self._past.of(replica)
            self._events.add(events.ReplicaBusy(self._clock.now, replica.index, busy_s, evicted))
        self._events.flush(math.inf)

    def _change(self, at: float) -> None:
        """A replica leaves, drains or joins."""
        self._look(at)
        self._clock.now = at
        change = self._changes.take()
        self._events.add(events.ReplicaChanged(at, change.replica, change.event))
        if change.event == "leaves":
            self._leave(change.replica)
        elif change.event == "drains" and self._each is not None:
            self._each.stand_again(self._each.close(change.replica, is_gone=False))
        self._look_on(True)

    def _leave(self, index: int) -> None:
        """What it has is lost: another one, empty, stands in its place should it join again."""
        now, gone = self._clock.now, self._reach(index)
        lost = [LostRound(*one) for one in gone.cut_off(now)]
        self._past.add(gone)
        self.replicas[index] = self._fresh(index)
        self.replicas[index].join(self.sessions)
        if self._moves is not None:
            self._moves.gone(gone)
        self.placing.router.gone(index)
        waiting = [] if self._each is None else self._each.close(index, is_gone=True)
        for one in lost:
            key = (one.live.session.id, one.prompt.round)
            self._events.add(events.RoundLost(now, *key, index))
            self.placing.lost(key)
            self._again.lost(one)
        for one in lost:
            self._send_again(one, index)
        if self._each is not None:
            self._each.stand_again(waiting)

    def _send_again(self, one: LostRound, index: int) -> None:
        step = self._under_way[one.live.session.id, one.prompt.round]
        if self._resends:
            self.submit(one.live, step)
        else:
            self.sessions.fail(one.live, f"replica {index} left")

    def _do(self, at: float) -> None:
        """The next thing that is due."""
        num_done = self._clock.num_done
        action = self._clock.pop_due(at)
        if action is not None:
            action()
        self._look_on(self._clock.num_done > num_done)

    def _wake(self, loop: ReplicaLoop, at: float) -> None:
        """The replica whose turn it is goes on."""
        self._clock.now = at
        self._look_on(loop.wake(at))

    def _start_idle(self) -> None:
        """All that is due now has happened: who was idle, or could run nothing, tries again."""
        for replica in self.replicas:
            replica.loop.start_idle(self._clock.now)

    def _next_wake(self) -> ReplicaLoop:
        return min(self.replicas, key=WAKES_AT).loop

    def _look(self, at: float) -> None:
        """Reports to the router, and samples, up to the next instant."""
        self.placing.views.report(at)
        while self._next_sample <= at:
            if self._tools.in_flight or any(one.has_work for one in self.replicas):
                self._events.add(self._usage(self._next_sample))
            self._next_sample += self.config.sample_s

    def _usage(self, at: float) -> events.KvUsage:
        """Of all replicas together."""
        there = self._there()
        free = sum(one.free_blocks(at) for one in there)
        held = sum(one.held_blocks for one in there)
        return events.KvUsage(
            at,
            used_blocks=self.config.num_blocks * len(there) - free - held,
            held_blocks=held,
            free_blocks=free,
            running=sum(len(one.scheduler.running) for one in self.replicas),
            waiting=sum(len(one.scheduler.waiting) for one in self.replicas),
            tools_in_flight=self._tools.in_flight,
        )

    def _pass_on(self) -> None:
        now = self._clock.now
        if not self._events.are_many:
            return
        begins = (one.loop.planned_from for one in self.replicas)
        self._events.flush(min([now, *(at for at in begins if at is not None)]))

    def _look_on(self, worked: bool) -> None:
        """Raises RunFailedError when nothing has come of anything for too long."""
        now = self._clock.now
        if worked:
            self._watchdog.worked(now)
            return
        num_requests = sum(len(one.scheduler.requests) for one in self.replicas)
        busy = any(not one.loop.is_free for one in self.replicas)
        wrong = self._watchdog.in_vain(now, num_requests, self._clock.only_ticks and not busy)
        if wrong is not None:
            raise RunFailedError(f"{wrong}.")
