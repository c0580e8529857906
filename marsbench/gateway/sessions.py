"""Sessions as the gateway knows them: who waits, who is in flight, and how each ends.

No I/O and no clock of its own, so a test plays it in the simulator's virtual time. It tells the
admission controller what the simulator tells it, in the same order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from marsbench.core import events
from marsbench.core.entrance import Entrance
from marsbench.gateway.calls import ToolCalls
from marsbench.gateway.ending import LEAST_S, LEFT, Outcome, Word, after_round
from marsbench.gateway.load import LoadRules
from marsbench.gateway.pressure import Pressure
from marsbench.gateway.request import RoundRequest
from marsbench.gateway.session import Clock, OpenRound, OpenSession, RunningCall, Waiter
from marsbench.gateway.store import KeptPlace
from marsbench_backends import signals
from marsbench_backends.admission import Admission, Candidate, EngineState

REMEMBERED = 1000
"""Sessions that gave their place up, the latest: who of them comes back is known to go on."""


class OpenSessions:
    """All sessions between the clients and the server.

    timeout_s: seconds of silence after which a session counts as abandoned, whatever its rhythm.
    """

    def __init__(
        self,
        clock: Clock,
        admission: Admission,
        pressure: Callable[[], Pressure],
        emit: Callable[[events.Event], None],
        tool_cores: int,
        timeout_s: float,
        rules: LoadRules,
    ) -> None:
        self._clock = clock
        self._admission = admission
        self._pressure = pressure
        self._emit = emit
        self._tool_cores = tool_cores
        self._timeout_s = timeout_s
        self._tools = ToolCalls(clock, admission, emit, rules)
        self._entrance = Entrance(admission, self._state, self._let_in, clock.later)
        self._known: dict[str, OpenSession] = {}
        self._gave_up: deque[str] = deque(maxlen=REMEMBERED)
        self._arrivals_over = False

    # --- what can be read off

    @property
    def num_waiting(self) -> int:
        return len(self._entrance.waiting)

    def __len__(self) -> int:
        """Sessions that are known, sub-agents too."""
        return len(self._known)

    @property
    def num_in_flight(self) -> int:
        """Sessions that hold a place; sub-agents share their parent's."""
        return len(self._entrance.in_flight)

    @property
    def num_rounds(self) -> int:
        """Rounds that the server is working on."""
        return sum(session.num_active for session in self._known.values())

    @property
    def num_tools(self) -> int:
        """Tool calls that run; one that waits for a sub-agent is not counted."""
        return sum(not call.is_agent for call in self._calls())

    @property
    def num_cpu_calls(self) -> int:
        """Those of them that are known to burn CPU: the load of the tool host."""
        return sum(call.burns_cpu is True and not call.is_agent for call in self._calls())

    def _calls(self) -> Iterator[RunningCall]:
        return (call for session in self._known.values() for call in session.calls)

    def knows(self, session_id: str) -> bool:
        """Whether the session waits or is in flight."""
        return session_id in self._known

    # --- rounds

    def ask(self, session_id: str, request: RoundRequest, waiter: Waiter) -> OpenRound:
        """A client asks for a round; `waiter` is told when it may go to the server."""
        session = self._known.get(session_id)
        if session is None:
            return self._arrive(session_id, request, waiter)
        round_ = OpenRound(session, request, waiter)
        if session.admitted:
            self._submit(round_)
        else:
            session.waiting.append(round_)
        return round_

    def _arrive(self, session_id: str, request: RoundRequest, waiter: Waiter) -> OpenRound:
        now, parent_id = self._clock.now, self._parent_id(request)
        named = request.session_id is not None
        session = self._known[session_id] = OpenSession(
            session_id, parent_id, request.num_prompt_tokens, named, request.tenant
        )
        session.came_back = session_id in self._gave_up
        round_ = OpenRound(session, request, waiter)
        session.waiting.append(round_)
        self._emit(events.SessionArrived(now, session_id, request.tenant, parent_id))
        self._emit(events.RoundReady(now, session_id, 0))
        candidate = Candidate(session_id, now, request.num_prompt_tokens, tenant=request.tenant)
        self._entrance.arrive(candidate, parent_id)
        self._make_room()
        return round_

    def _parent_id(self, request: RoundRequest) -> str | None:
        """The session in whose tool call this sub-agent runs, if it is known here."""
        parent = self._known.get(request.parent_id or "")
        if parent is None or not parent.admitted:
            return None
        call = next((c for c in reversed(parent.calls) if not c.is_agent), None)
        if call is not None:
            call.is_agent = True
        return parent.id

    def _let_in(self, session_id: str) -> None:
        session = self._known[session_id]
        session.admitted = True
        self._emit(events.SessionAdmitted(self._clock.now, session_id))
        waiting, session.waiting = session.waiting, []
        for round_ in waiting:
            self._submit(round_)

    def _submit(self, round_: OpenRound) -> None:
        session, now = round_.session, self._clock.now
        session.quiet()
        session.rhythm.resume(now)
        self._tools.end_all(session)
        number = round_.number = session.num_rounds
        if number:
            self._emit(events.RoundReady(now, session.id, number))
        session.num_rounds += 1
        session.num_active += 1
        session.num_calls = 0
        tokens = round_.request.num_prompt_tokens
        self._admission.observe(
            signals.RoundSubmitted(
                now, session.id, number, tokens, session.parent_id, tenant=session.tenant
            )
        )
        round_.waiter.go()

    def end(self, round_: OpenRound, outcome: Outcome, word: Word = "open") -> None:
        """The round is over, however it was; asked twice or after its session's end, nothing."""
        session = round_.session
        if self._known.get(session.id) is not session:
            return
        if round_ in session.waiting:
            session.waiting.remove(round_)
        else:
            session.num_active -= 1
        session.num_answered += outcome == "answered"
        session.has_tools |= outcome == "answered" and word != "alone"
        session.was_left = outcome == "left"
        if session.waiting or session.num_active:
            return
        if self._children(session):
            word = "open"  # a parent that waits for sub-agents may well talk meanwhile
        is_last = round_.request.is_last
        if ending := after_round(outcome, session.num_answered, is_last, word):
            self._end(session, ending.why)
            return
        if outcome == "answered":
            self._tools.infer(session, round_.request.tools)
        self._wait(session)

    # --- before

    def place(self, session_id: str) -> KeptPlace | None:
        """What has to be known of a session that is in to keep its place; None where nobody will
        come back for it: it is over, or is a chat without a name that has not gone on so far."""
        session = self._known.get(session_id)
        if session is None:
            return None
        if not session.is_named and (session.may_be_over or not session.num_answered):
            return None
        return KeptPlace(session_id, session.parent_id, session.num_prompt_tokens)

    def restore(self, places: Iterable[KeptPlace]) -> None:
        """Sessions that were let in by a gateway that is gone keep their places, as long as they
        are heard of in time. What showed when they would be over is not known any more, so each
        is taken for an agent at work, whose first silences may be long."""
        now = self._clock.now
        for place in places:
            tokens, parent = place.num_prompt_tokens, place.parent_id
            session = OpenSession(place.id, parent, tokens, admitted=True, num_rounds=1)
            session.num_answered, session.has_tools = 1, True
            self._known[place.id] = session
            if parent is None:
                self._entrance.take_back(Candidate(place.id, now, tokens))
            self._admission.observe(signals.RoundSubmitted(now, place.id, 0, tokens, parent))
            self._wait(session)

    # --- tools

    def start_tool(
        self, session_id: str, name: str, key: str | None = None, burns_cpu: bool | None = None
    ) -> bool:
        """The client says that a tool call began; False when the session is not in here."""
        session = self._known.get(session_id)
        if session is None or not session.admitted:
            return False
        self._tools.told_start(session, name, key, burns_cpu)
        self._wait(session)
        return True

    def end_tool(
        self, session_id: str, name: str, key: str | None = None, queued_s: float | None = None
    ) -> bool:
        """The client says that a tool call ended; False when no such call runs."""
        session = self._known.get(session_id)
        if session is None or not self._tools.told_end(session, name, key, queued_s):
            return False
        self._wait(session)
        return True

    # --- ends

    def end_session(self, session_id: str) -> bool:
        """The client says that its session is over; False when it is not known here."""
        session = self._known.get(session_id)
        if session is None:
            return False
        self._end(session)
        return True

    def end_named(self, ending: str) -> None:
        """Whoever's ids end so has gone: nothing more is heard of those sessions."""
        for session in [s for s in self._known.values() if s.id.endswith(ending)]:
            if self._known.get(session.id) is session:
                self._end(session, LEFT)

    def end_arrivals(self) -> None:
        """A client knows that nobody else will come, until the last session has ended."""
        self._arrivals_over = True
        self._entrance.ask()

    def close(self, why: str) -> None:
        """Refuse all that wait, and forget everybody."""
        for session in list(self._known.values()):
            for round_ in session.waiting:
                round_.waiter.refuse(why)
            session.quiet()
        self._known.clear()

    def _end(self, session: OpenSession, why: str | None = None) -> None:
        now = self._clock.now
        session.quiet()
        del self._known[session.id]
        for round_ in session.waiting:
            round_.waiter.refuse("its session was ended")
        outcome: Literal["finished", "failed"] = "failed" if why else "finished"
        self._emit(events.SessionEnded(now, session.id, outcome, why))
        if session.admitted:  # of the others the controller was never told
            self._admission.observe(signals.SessionEnded(now, session.id, session.num_rounds))
        self._arrivals_over = self._arrivals_over and bool(self._known)
        self._entrance.leave(session.id)
        for child in self._children(session):
            self._end(child, "its parent's session ended")
        if (parent := self._known.get(session.parent_id or "")) is not None:
            self._wait(parent)  # it was not silent so far
        self._entrance.ask()

    def _children(self, session: OpenSession) -> list[OpenSession]:
        return [s for s in self._known.values() if s.parent_id == session.id]

    # --- silence

    def _wait(self, session: OpenSession) -> None:
        """Its place is somebody else's, and then it is gone, unless something is heard in time."""
        session.quiet()
        if session.num_active:
            return
        session.rhythm.pause(self._clock.now)
        patience_s = self._patience_s(session)
        if patience_s:
            session.disarm = self._clock.later(
                patience_s, lambda: self._silent(session, patience_s)
            )
        else:
            self._silent(session, patience_s)

    def _patience_s(self, session: OpenSession) -> float:
        if session.tells_tools:  # a silence is a call that runs, and is known to
            return self._timeout_s
        if session.may_be_over:
            return 0.0
        if session.was_left:  # whoever goes on after that does so soon
            return min(LEAST_S, self._timeout_s)
        return session.rhythm.patience_s(self._timeout_s, session.has_tools)

    def _silent(self, session: OpenSession, for_s: float) -> None:
        """Nothing was heard of it for as long as it was waited for."""
        if self._children(session):
            session.disarm = self._clock.later(
                self._timeout_s, lambda: self._silent(session, for_s)
            )
        elif for_s >= self._timeout_s:
            self._end(session, "abandoned")
        else:
            session.is_idle = True
            left_s = self._timeout_s - for_s
            session.disarm = self._clock.later(
                left_s, lambda: self._silent(session, self._timeout_s)
            )
            self._make_room()

    def _make_room(self) -> None:
        """While somebody waits, idle sessions give up their places, the longest silent first."""
        if not self._entrance.waiting:
            return
        idle = [s for s in self._known.values() if s.is_idle and not self._children(s)]
        for session in sorted(idle, key=lambda s: (s.rhythm.since or 0.0, s.id)):
            if self._entrance.waiting and self._known.get(session.id) is session:
                self._gave_up.append(session.id)
                self._end(session, None if session.may_be_over else "gave its place up")

    def _state(self, in_flight: Sequence[Candidate]) -> EngineState:
        kv = self._pressure()
        return EngineState(
            now=self._clock.now,
            in_flight=in_flight,
            num_blocks=kv.num_blocks,
            free_blocks=kv.free_blocks,
            block_size=kv.block_size,
            num_cpu_calls=self.num_cpu_calls,
            tool_cores=self._tool_cores,
            arrivals_over=self._arrivals_over,
            num_queried_tokens=kv.queried_tokens,
            num_hit_tokens=kv.hit_tokens,
        )
