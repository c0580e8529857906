"""The same sessions before the simulator's door and before the gateway's: one controller's story.

Both play in virtual time before an engine that takes a second a round and whose KV cache fills
with the rounds that run. What the controller is told, what it sees whenever it is asked, and whom
it lets in must be equal.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from marsbench.engine.backends import choose
from marsbench.engine.sim.clock import Clock, Due
from marsbench.engine.sim.sessions import LiveSession
from marsbench.engine.sim.sessions import Sessions as SimulatedSessions
from marsbench.engine.sim.tools import Tools
from marsbench.gateway.asked import Asked
from marsbench.gateway.sessions import Pressure, Sessions
from marsbench.hardware.host import ToolHost
from marsbench.session import Generate, Prompt, Round, RunTools, Session, Step, ToolCall, play
from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.signals import Signal, ToolEnded, ToolStarted

BLOCKS, BLOCKS_A_ROUND, CORES = 100, 12, 2
FOREVER = 1e4
"""Seconds; every story here is long over by then."""


class Watched(Admission):
    """A controller whose every word is written down."""

    def __init__(self, backend: str, *assignments: str) -> None:
        self._inner = choose(backend, assignments).admission()
        self.tick_s = self._inner.tick_s
        self.story: list[tuple[Any, ...]] = []

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        chosen = list(self._inner.admit(waiting, state))
        self.story.append(("admit", tuple(waiting), seen(state), chosen))
        return chosen

    def tick(self, state: EngineState) -> None:
        self.story.append(("tick", seen(state)))
        self._inner.tick(state)

    def observe(self, signal: Signal) -> None:
        told = signal
        if isinstance(told, ToolStarted | ToolEnded):  # a call's name may never be told
            told = replace(told, name="")
        self.story.append(("told", told))
        self._inner.observe(signal)


def seen(state: EngineState) -> tuple[Any, ...]:
    cores, blocks = state.tools_in_flight, state.free_blocks
    return state.now, tuple(state.in_flight), cores, blocks


@dataclass
class SteadyEngine:
    """Generates every round in one second."""

    clock: Clock
    running: int = 0

    def start(self, ended: Callable[[], None]) -> None:
        self.running += 1

        def end() -> None:
            self.running -= 1
            ended()

        self.clock.at(self.clock.now + 1.0, Due.TOOL_END, end)

    @property
    def free(self) -> int:
        return max(0, BLOCKS - BLOCKS_A_ROUND * self.running)


@dataclass
class ForSimulator:
    """The engine as the simulator's sessions ask for it."""

    engine: SteadyEngine
    sessions: SimulatedSessions | None = None

    def submit(self, live: LiveSession, prompt: Prompt, is_last: bool) -> None:
        assert self.sessions is not None
        ended = self.sessions.round_ended
        self.engine.start(lambda: ended(live, prompt.output_tokens, prompt.round))

    def tell(self, signal: Signal) -> None: ...
    def forget(self, session: Session) -> None: ...
    def kv_blocks(self) -> tuple[int, int, int]:
        return BLOCKS, self.engine.free, 16


@dataclass
class Virtual:
    """Virtual time as the gateway's sessions ask for it."""

    clock: Clock

    @property
    def now(self) -> float:
        return self.clock.now

    def later(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        on = [True]
        self.clock.at(self.clock.now + seconds, Due.TICK, lambda: action() if on[0] else None)
        return lambda: on.__setitem__(0, False)


@dataclass
class Go:
    """A held request: what it does once it may go."""

    go: Callable[[], None]

    def refuse(self, why: str) -> None:
        raise AssertionError(why)


@dataclass
class Client:
    """Plays sessions through the gateway as an agent would; `tells` posts its tool calls."""

    clock: Clock
    engine: SteadyEngine
    tools: Tools
    gateway: Sessions
    tells: bool
    open_calls: dict[str, int] = field(default_factory=dict)

    def arrive(self, session: Session, parent: str | None, ended: Callable[[], None]) -> None:
        self._advance(session, parent, play(session), ended)

    def _advance(
        self,
        session: Session,
        parent: str | None,
        steps: Generator[Step, None, None],
        ended: Callable[[], None],
    ) -> None:
        def go_on() -> None:
            self._advance(session, parent, steps, ended)

        match next(steps, None):
            case None:
                ended()
            case Generate() as step:
                self._generate(session, parent, step, go_on)
            case RunTools() as step:
                self.open_calls[session.id] = len(step.calls)
                for number, call in enumerate(step.calls):
                    self._run(session, f"{step.round}.{number}", call, go_on)

    def _generate(
        self, session: Session, parent: str | None, step: Generate, go_on: Callable[[], None]
    ) -> None:
        def end() -> None:
            self.gateway.end(asked, "answered")
            go_on()

        held = Go(lambda: self.engine.start(end))
        told = Asked(session.id, step.prompt.num_tokens, step.is_last, parent)
        asked = self.gateway.ask(session.id, told, held)

    def _run(self, session: Session, key: str, call: ToolCall, go_on: Callable[[], None]) -> None:
        if self.tells:
            assert self.gateway.start_tool(session.id, call.name, key)

        def ended(queued_s: float) -> None:
            if self.tells:
                assert self.gateway.end_tool(session.id, call.name, key, queued_s)
            self.open_calls[session.id] -= 1
            if not self.open_calls[session.id]:
                go_on()

        if call.child is None:
            self.tools.run(call, ended)
            return
        child, now = call.child, self.clock.now
        self.clock.at(now, Due.ARRIVAL, lambda: self.arrive(child, session.id, lambda: ended(0.0)))


def run(clock: Clock) -> None:
    while (action := clock.pop_due(FOREVER - 1.0)) is not None:
        action()


def simulated(workload: Sequence[Session], admission: Watched) -> list[tuple[Any, ...]]:
    clock = Clock()
    engine = ForSimulator(SteadyEngine(clock))
    tools = Tools(clock, ToolHost(CORES))
    sessions = SimulatedSessions(clock, tools, admission, engine, lambda _event: None)
    engine.sessions = sessions
    sessions.schedule(workload, None)
    run(clock)
    assert not sessions.unfinished
    return admission.story


def through_the_gateway(
    workload: Sequence[Session], admission: Watched, tells: bool
) -> list[tuple[Any, ...]]:
    clock = Clock()
    engine = SteadyEngine(clock)
    tools = Tools(clock, ToolHost(CORES))
    sessions = Sessions(
        Virtual(clock),
        admission,
        lambda: Pressure(BLOCKS, engine.free),
        lambda _event: None,
        CORES,
        FOREVER,
    )
    client = Client(clock, engine, tools, sessions, tells)
    for session in workload:
        clock.at(
            session.arrival_s,
            Due.ARRIVAL,
            lambda session=session: client.arrive(session, None, lambda: None),
        )
    run(clock)
    assert (sessions.num_waiting, sessions.num_in_flight) == (0, 0)
    assert (sessions.num_rounds, sessions.num_tools) == (0, 0)
    return admission.story


def crowd(calls_a_round: int) -> list[Session]:
    """Sessions of many sizes that come faster than they can be served."""

    def tools(number: int) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall("bash", "cpu", cpu_s=0.3 + 0.1 * (number + call) % 4)
            if call % 2 == 0
            else ToolCall("fetch", floor_s=0.7)
            for call in range(calls_a_round)
        )

    return [
        Session(
            f"s{number:02d}",
            (*(Round(100 * (1 + number % 7), 20, tools(number)),) * (1 + number % 3), Round(50, 9)),
            arrival_s=0.17 * number,
        )
        for number in range(24)
    ]


def with_agents() -> list[Session]:
    def agent(name: str) -> ToolCall:
        return ToolCall("agent", "agent", child=Session(name, (Round(10, 1),)))

    return [
        Session(f"s{n}", (Round(90, 5, (agent(f"s{n}/0"),)), Round(9, 9)), arrival_s=0.53 * n)
        for n in range(6)
    ]


BACKENDS = [
    ("fcfs",),
    ("fcfs-cap", "cap=3"),
    ("mars", "window_init=4", "window_max=8"),
    ("mars", "reserve=off", "kv_low=0.3", "kv_high=0.5"),
]


@pytest.mark.parametrize("backend", BACKENDS, ids=" ".join)
@pytest.mark.parametrize(
    ("workload", "tells"),
    [(crowd(1), False), (crowd(1), True), (crowd(3), True), (with_agents(), True)],
    ids=["gaps", "told", "three calls at once", "sub-agents"],
)
def test_the_controller_cannot_tell_them_apart(
    workload: list[Session], tells: bool, backend: tuple[str, ...]
) -> None:
    theirs = simulated(workload, Watched(*backend))
    ours = through_the_gateway(workload, Watched(*backend), tells)
    assert ours == theirs
    assert {line[0] for line in ours} >= {"admit", "told"}


def test_sessions_had_to_wait() -> None:
    story = simulated(crowd(1), Watched("fcfs-cap", "cap=3"))
    assert any(line[0] == "admit" and not line[-1] for line in story)
