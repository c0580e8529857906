"""Sessions as the gateway knows them: who waits, who is in flight, whose tools run.

No I/O and no clock of its own, so a test plays it in the simulator's virtual time. It tells the
admission controller what the simulator tells it, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from marsbench.core import events
from marsbench.core.entrance import Entrance
from marsbench.gateway.asked import Asked
from marsbench.gateway.load import LoadRules
from marsbench_backends import signals
from marsbench_backends.admission import Admission, Candidate, EngineState

INFERRED = "tool"
"""The name of a tool call that is only known as the gap between two rounds."""

Outcome = Literal["answered", "refused", "failed", "left"]
"""How a round ended: with its answer, with an error that was said (the server's, or ours to a round
that was never let in), because the server failed, or because the client went away."""


class Clock(Protocol):
    """Seconds, and things to do later."""

    @property
    def now(self) -> float: ...
    def later(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """Do it in so many seconds; what is returned takes that back."""
        ...


class Waiter(Protocol):
    """A request that is held until its session is in."""

    def go(self) -> None: ...
    def refuse(self, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Pressure:
    """The engine's KV cache; None is not measured."""

    num_blocks: int | None = None
    free_blocks: int | None = None
    block_size: int = 16


@dataclass(slots=True)
class Call:
    """A tool call that runs.

    key: the client's own name for it, None when it gave none.
    burns_cpu: whether it is load on the tool host; None is not known.
    is_agent: a sub-agent runs in it, so it takes no core.
    """

    number: int
    name: str
    key: str | None
    started_at: float
    burns_cpu: bool | None
    is_agent: bool = False


@dataclass(slots=True, eq=False)
class Session:
    """A session that has asked for a round and has not ended.

    num_calls: tool calls of the round that ended last.
    tells_tools: its client posts its tool calls, so nothing is inferred any more.
    disarm: stops the timer that ends the session as abandoned.
    """

    id: str
    parent_id: str | None
    admitted: bool = False
    waiting: list[Round] = field(default_factory=list)
    num_rounds: int = 0
    num_active: int = 0
    calls: list[Call] = field(default_factory=list)
    num_calls: int = 0
    tells_tools: bool = False
    disarm: Callable[[], None] | None = None


@dataclass(slots=True, eq=False)
class Round:
    """A request of a session, from its arrival to the end of its answer."""

    session: Session
    asked: Asked
    waiter: Waiter


class Sessions:
    """All sessions between the clients and the server.

    timeout_s: seconds of silence after which a session counts as abandoned.
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
        self._rules = rules
        self._entrance = Entrance(admission, self._state, self._let_in, clock.later)
        self._known: dict[str, Session] = {}
        self._arrivals_over = False

    # --- what can be read off

    @property
    def num_waiting(self) -> int:
        return len(self._entrance.waiting)

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

    def _calls(self) -> Iterator[Call]:
        return (call for session in self._known.values() for call in session.calls)

    # --- rounds

    def ask(self, session_id: str, asked: Asked, waiter: Waiter) -> Round:
        """A client asks for a round; `waiter` is told when it may go to the server."""
        session = self._known.get(session_id)
        if session is None:
            return self._arrive(session_id, asked, waiter)
        round_ = Round(session, asked, waiter)
        if session.admitted:
            self._submit(round_)
        else:
            session.waiting.append(round_)
        return round_

    def _arrive(self, session_id: str, asked: Asked, waiter: Waiter) -> Round:
        now, parent = self._clock.now, self._parent(asked)
        session = Session(session_id, parent.id if parent else None)
        round_ = Round(session, asked, waiter)
        session.waiting.append(round_)
        self._known[session_id] = session
        self._emit(events.SessionArrived(now, session_id, parent=session.parent_id))
        self._emit(events.RoundReady(now, session_id, 0))
        if session.parent_id is None:
            self._entrance.arrive(Candidate(session_id, now, asked.num_prompt_tokens))
        else:
            self._let_in(session_id)
        return round_

    def _parent(self, asked: Asked) -> Session | None:
        """The session in whose tool call this sub-agent runs, if it is known here."""
        parent = self._known.get(asked.parent_id or "")
        if parent is None or not parent.admitted:
            return None
        call = next((c for c in reversed(parent.calls) if not c.is_agent), None)
        if call is not None:
            call.is_agent = True
        return parent

    def _let_in(self, session_id: str) -> None:
        session = self._known[session_id]
        session.admitted = True
        self._emit(events.SessionAdmitted(self._clock.now, session_id))
        waiting, session.waiting = session.waiting, []
        for round_ in waiting:
            self._submit(round_)

    def _submit(self, round_: Round) -> None:
        session, now = round_.session, self._clock.now
        self._quiet(session)
        for call in list(session.calls):  # a round is asked for when its tools have ended
            self._end_call(session, call, None)
        number = session.num_rounds
        if number:
            self._emit(events.RoundReady(now, session.id, number))
        session.num_rounds += 1
        session.num_active += 1
        session.num_calls = 0
        tokens = round_.asked.num_prompt_tokens
        self._admission.observe(
            signals.RoundSubmitted(now, session.id, number, tokens, session.parent_id)
        )
        round_.waiter.go()

    def end(self, round_: Round, outcome: Outcome) -> None:
        """The round is over, however it was; asked twice or after its session's end, nothing."""
        session = round_.session
        if self._known.get(session.id) is not session:
            return
        if round_ in session.waiting:
            session.waiting.remove(round_)
        else:
            session.num_active -= 1
        if session.waiting or session.num_active:
            return
        if outcome in ("failed", "left"):
            self._end(session, _WHY[outcome])
        elif round_.asked.is_last:
            self._end(session)
        else:
            self._pause(round_, inferring=outcome == "answered" and not session.tells_tools)

    def _pause(self, round_: Round, inferring: bool) -> None:
        if inferring:
            burns_cpu = self._rules.gap(round_.asked.tools)
            self._start_call(round_.session, INFERRED, None, burns_cpu)
        self._wait(round_.session)

    # --- tools

    def start_tool(
        self, session_id: str, name: str, key: str | None = None, burns_cpu: bool | None = None
    ) -> bool:
        """The client says that a tool call began; False when the session is not in here."""
        session = self._known.get(session_id)
        if session is None or not session.admitted:
            return False
        inferred = None if session.tells_tools else next(iter(session.calls), None)
        session.tells_tools = True
        self._wait(session)
        burns_cpu = self._rules.call(name, burns_cpu)
        if inferred is not None:  # the gap that was taken for a call is this call
            inferred.name, inferred.key, inferred.burns_cpu = name, key, burns_cpu
        else:
            self._start_call(session, name, key, burns_cpu)
        return True

    def end_tool(
        self, session_id: str, name: str, key: str | None = None, queued_s: float | None = None
    ) -> bool:
        """The client says that a tool call ended; False when no such call runs."""
        session = self._known.get(session_id)
        calls = session.calls if session else []
        call = next((c for c in calls if c.key == key and c.name == name), None)
        if session is None or call is None:
            return False
        session.tells_tools = True
        self._wait(session)
        self._end_call(session, call, queued_s)
        return True

    def _start_call(
        self, session: Session, name: str, key: str | None, burns_cpu: bool | None
    ) -> None:
        now = self._clock.now
        call = Call(session.num_calls, name, key, now, burns_cpu)
        session.num_calls += 1
        session.calls.append(call)
        number = session.num_rounds - 1
        self._emit(
            events.ToolStart(now, session.id, number, call.number, name, burns_cpu=burns_cpu)
        )
        self._admission.observe(signals.ToolStarted(now, session.id, name))

    def _end_call(self, session: Session, call: Call, queued_s: float | None) -> None:
        now = self._clock.now
        session.calls.remove(call)
        number, seconds = session.num_rounds - 1, now - call.started_at
        self._emit(events.ToolEnd(now, session.id, number, call.number, call.name))
        self._admission.observe(signals.ToolEnded(now, session.id, call.name, seconds, queued_s))

    # --- ends

    def end_session(self, session_id: str) -> bool:
        """The client says that its session is over; False when it is not known here."""
        session = self._known.get(session_id)
        if session is None:
            return False
        self._end(session)
        return True

    def end_arrivals(self) -> None:
        """A client knows that nobody else will come, until the last session has ended."""
        self._arrivals_over = True
        self._entrance.ask()

    def close(self, why: str) -> None:
        """Refuse all that wait, and forget everybody."""
        for session in list(self._known.values()):
            for round_ in session.waiting:
                round_.waiter.refuse(why)
            self._quiet(session)
        self._known.clear()

    def _end(self, session: Session, why: str | None = None) -> None:
        now = self._clock.now
        self._quiet(session)
        del self._known[session.id]
        for round_ in session.waiting:
            round_.waiter.refuse("its session was ended")
        outcome: Literal["finished", "failed"] = "failed" if why else "finished"
        self._emit(events.SessionEnded(now, session.id, outcome, why))
        if session.admitted:  # of the others the controller was never told
            self._admission.observe(signals.SessionEnded(now, session.id, session.num_rounds))
        self._arrivals_over = self._arrivals_over and bool(self._known)
        self._entrance.leave(session.id)
        for child in [s for s in self._known.values() if s.parent_id == session.id]:
            self._end(child, "its parent's session ended")
        self._entrance.ask()

    def _wait(self, session: Session) -> None:
        """Count the session as abandoned unless something is heard of it in time."""
        self._quiet(session)
        if not session.num_active:
            session.disarm = self._clock.later(
                self._timeout_s, lambda: self._end(session, "abandoned")
            )

    def _quiet(self, session: Session) -> None:
        if session.disarm is not None:
            session.disarm()
            session.disarm = None

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
        )


_WHY = {"failed": "the server failed", "left": "the client went away"}
