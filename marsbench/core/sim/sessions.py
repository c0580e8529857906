"""Sessions in virtual time: they arrive, are let in, generate, run tools, and end.

Arrivals are open loop (or N lanes), rounds closed loop: a round is ready when the last tool call
of the round before it has ended. A sub-agent is a session that a tool call waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from marsbench.core import events
from marsbench.core.entrance import Entrance
from marsbench.core.rounds import ComputedTokens, Futures
from marsbench.core.session import Generate, RunTools, Session, Step, ToolCall, play
from marsbench.core.sim.clock import Due, VirtualClock
from marsbench.core.sim.tools import Ended, SimTools
from marsbench.errors import RunFailedError
from marsbench_backends import signals
from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.answers.wrong import WrongAnswerError
from marsbench_backends.vllm.decisions import Entries

Emit = Callable[[events.Event], None]


class Engine(Protocol):
    """What sessions ask of the engine."""

    def submit(self, live: LiveSession, step: Generate) -> None: ...
    def tell(self, signal: signals.Signal) -> None: ...
    def fork(self, parent: Session, child: Session) -> None:
        """The child begins with the context of its parent, whose round has ended."""
        ...

    def forget(self, session: Session) -> None: ...
    def kv_blocks(self) -> tuple[int, int, int]:
        """Total and free blocks, and tokens a block."""
        ...

    def prefix_tokens(self) -> tuple[int, int]:
        """Tokens that rounds asked the prefix cache for so far, and found on the GPU."""
        ...


@dataclass(slots=True)
class LiveSession:
    """A session that has arrived and not ended."""

    session: Session
    parent: str | None
    ended: Callable[[], None]
    steps: Generator[Step, None, None]
    futures: Futures
    computed: ComputedTokens
    num_open_calls: int = 0


class SimSessions:
    """All sessions of a run, driven by the clock and by what the engine reports."""

    def __init__(
        self, clock: VirtualClock, tools: SimTools, admission: Admission, engine: Engine, emit: Emit
    ) -> None:
        self._clock = clock
        self._tools = tools
        self._admission = admission
        self._engine = engine
        self._emit = emit
        self._entrance = Entrance(admission, self._state, self._let_in, self._next_tick)
        self._waiting: dict[str, LiveSession] = {}
        self._lane_queue: deque[Session] = deque()
        self._to_arrive = 0

    def play(
        self, sessions: Sequence[Session], lanes: int | None, engines: Callable[[], None]
    ) -> None:
        """All of them, while `engines` do what is due until nothing is.

        Raises RunFailedError when nothing can go on, and when an answer cannot be carried out.
        """
        self.schedule(sessions, lanes)
        try:
            engines()
        except WrongAnswerError as error:
            raise RunFailedError(str(error)) from error
        if self.unfinished:
            raise RunFailedError("Sessions wait for admission and nothing is left to happen.")

    def schedule(self, sessions: Sequence[Session], lanes: int | None) -> None:
        """Set every arrival: at its own time, or when one of `lanes` is free."""
        self._to_arrive = len(sessions)
        if lanes is None:
            for session in sessions:
                self._arrive_at(session.arrival_s, session)
            return
        self._lane_queue.extend(sessions)
        for _ in range(min(lanes, len(sessions))):
            self._next_in_lane()

    def _next_in_lane(self) -> None:
        if self._lane_queue:
            self._arrive_at(self._clock.now, self._lane_queue.popleft())

    def _arrive_at(self, time: float, session: Session) -> None:
        self._clock.at(time, Due.ARRIVAL, lambda: self._arrive(session))

    @property
    def entries(self) -> Entries:
        """Who came to the entrance, and who had to wait there."""
        return self._entrance.entries

    @property
    def unfinished(self) -> bool:
        """Whether a session has yet to arrive or to end."""
        return bool(self._to_arrive or self._waiting or self._entrance.in_flight)

    # --- arrival and admission

    def _arrive(self, session: Session) -> None:
        self._to_arrive -= 1
        self._begin(session, None, self._next_in_lane, ComputedTokens())

    def _begin(
        self,
        session: Session,
        parent: str | None,
        ended: Callable[[], None],
        computed: ComputedTokens,
    ) -> None:
        now, futures = self._clock.now, Futures(session)
        live = LiveSession(session, parent, ended, play(session), futures, computed)
        self._waiting[session.id] = live
        self._emit(events.SessionArrived(now, session.id, session.tenant, parent))
        self._emit(events.RoundReady(now, session.id, 0))
        future = futures.of(0) if self._admission.clairvoyant else None
        candidate = Candidate(
            session.id, now, session.rounds[0].append_tokens, future, session.tenant
        )
        self._entrance.arrive(candidate, parent)

    def _let_in(self, session_id: str) -> None:
        self._emit(events.SessionAdmitted(self._clock.now, session_id))
        self._advance(self._waiting.pop(session_id))

    def _state(self, in_flight: Sequence[Candidate]) -> EngineState:
        total, free, block_size = self._engine.kv_blocks()
        queried, hit = self._engine.prefix_tokens()
        return EngineState(
            now=self._clock.now,
            in_flight=in_flight,
            num_blocks=total,
            free_blocks=free,
            block_size=block_size,
            num_cpu_calls=self._tools.num_burning,
            tool_cores=self._tools.cores,
            arrivals_over=self._to_arrive == 0,
            num_queried_tokens=queried,
            num_hit_tokens=hit,
        )

    def _next_tick(self, tick_s: float, tick: Callable[[], None]) -> None:
        self._clock.at(self._clock.now + tick_s, Due.TICK, tick)

    def _tell(self, signal: signals.Signal) -> None:
        self._engine.tell(signal)
        self._admission.observe(signal)

    # --- rounds and tools

    def _advance(self, live: LiveSession) -> None:
        step = next(live.steps, None)
        if step is None:
            self._end(live)
        elif isinstance(step, Generate):
            if step.prompt.round:
                self._emit(events.RoundReady(self._clock.now, live.session.id, step.prompt.round))
            self._generate(live, step)
        else:
            self._run_tools(live, step)

    def _generate(self, live: LiveSession, step: Generate) -> None:
        prompt, now = step.prompt, self._clock.now
        self._emit(
            events.GpuSubmit(
                now, live.session.id, prompt.round, prompt.num_tokens, prompt.output_tokens
            )
        )
        self._admission.observe(
            signals.RoundSubmitted(
                now,
                live.session.id,
                prompt.round,
                prompt.num_tokens,
                live.parent,
                tenant=live.session.tenant,
            )
        )
        self._engine.submit(live, step)

    def round_ended(self, live: LiveSession, output_tokens: int, number: int) -> None:
        """The engine generated the last token of the session's round."""
        self._emit(events.GpuEnd(self._clock.now, live.session.id, number, output_tokens))
        self._advance(live)

    def _run_tools(self, live: LiveSession, step: RunTools) -> None:
        live.num_open_calls = len(step.calls)
        for number, call in enumerate(step.calls):
            self._run_tool(live, step.round, number, call)

    def _run_tool(self, live: LiveSession, number: int, index: int, call: ToolCall) -> None:
        now, session_id = self._clock.now, live.session.id
        child = None if call.child is None else call.child.id
        self._emit(
            events.ToolStart(now, session_id, number, index, call.name, child, call.burns_cpu)
        )
        self._tell(signals.ToolStarted(now, session_id, call.name))

        def ended(queued_s: float | None) -> None:
            at = self._clock.now
            self._emit(events.ToolEnd(at, session_id, number, index, call.name))
            self._tell(signals.ToolEnded(at, session_id, call.name, at - now, queued_s))
            self._call_ended(live)

        if call.child is None:
            self._tools.run(call, ended)
        else:
            self._run_agent(live, call, call.child, ended)

    def _run_agent(self, live: LiveSession, call: ToolCall, child: Session, ended: Ended) -> None:
        floor_at = self._clock.now + call.floor_s

        def child_ended() -> None:
            self._clock.at(floor_at, Due.TOOL_END, lambda: ended(None))

        def begin() -> None:
            if child.fork_tokens:
                self._engine.fork(live.session, child)
            self._begin(child, live.session.id, child_ended, live.computed.forked(child))

        self._clock.at(self._clock.now + child.arrival_s, Due.ARRIVAL, begin)

    def _call_ended(self, live: LiveSession) -> None:
        live.num_open_calls -= 1
        if live.num_open_calls == 0:
            self._advance(live)

    def fail(self, live: LiveSession, reason: str) -> None:
        """The session's round is lost, and nobody sends it again."""
        self._end(live, "failed", reason)

    def _end(
        self,
        live: LiveSession,
        outcome: Literal["finished", "failed"] = "finished",
        reason: str | None = None,
    ) -> None:
        self._emit(events.SessionEnded(self._clock.now, live.session.id, outcome, reason))
        self._admission.observe(
            signals.SessionEnded(self._clock.now, live.session.id, len(live.session.rounds))
        )
        self._entrance.leave(live.session.id)
        self._engine.forget(live.session)
        live.ended()
        self._entrance.ask()
