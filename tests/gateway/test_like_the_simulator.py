"""The same sessions before the simulator's door and before the gateway's: one controller's story.

Both play in virtual time before an engine that takes a second a round and whose KV cache fills
with the rounds that run. What the controller is told, what it sees whenever it is asked, and whom
it lets in must be equal.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from marsbench.core.backends import choose
from marsbench.core.session import Generate, Round, RunTools, Session, Step, ToolCall, play
from marsbench.core.sim.clock import Due, VirtualClock
from marsbench.core.sim.sessions import LiveSession
from marsbench.core.sim.sessions import SimSessions as SimulatedSessions
from marsbench.core.sim.tools import SimTools
from marsbench.gateway.load import LoadRules
from marsbench.gateway.pressure import Pressure
from marsbench.gateway.request import RoundRequest
from marsbench.gateway.sessions import OpenSessions
from marsbench.hardware.host import ToolHost
from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.signals import Signal, ToolEnded, ToolStarted

BLOCKS, BLOCKS_A_ROUND, CORES = 100, 12, 2
FOREVER = 1e4
Tells = Literal["nothing", "rounds", "names", "kinds"]
"""Seconds; every story here is long over by then."""


class Watched(Admission):
    """A controller whose every word is written down.

    by_gaps: a call is known as a pause alone, so neither its name nor its queueing is ever told.
        (Of a session's first call the name is told a moment late, when its client posts it.)
    """

    def __init__(self, backend: str, *assignments: str, by_gaps: bool = False) -> None:
        self._inner = choose(backend, assignments).admission()
        self._by_gaps = by_gaps
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
        if isinstance(told, ToolStarted):
            told = replace(told, name="")
        elif self._by_gaps and isinstance(told, ToolEnded):
            told = replace(told, name="", queued_s=None)
        self.story.append(("told", told))
        self._inner.observe(signal)


def seen(state: EngineState) -> tuple[Any, ...]:
    return state.now, tuple(state.in_flight), state.num_cpu_calls, state.free_blocks


@dataclass
class SteadyEngine:
    """Generates every round in one second."""

    clock: VirtualClock
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

    def submit(self, live: LiveSession, step: Generate) -> None:
        assert self.sessions is not None
        ended, prompt = self.sessions.round_ended, step.prompt
        self.engine.start(lambda: ended(live, prompt.output_tokens, prompt.round))

    def tell(self, signal: Signal) -> None: ...
    def forget(self, session: Session) -> None: ...
    def kv_blocks(self) -> tuple[int, int, int]:
        return BLOCKS, self.engine.free, 16

    def prefix_tokens(self) -> tuple[int, int]:
        return 0, 0


@dataclass
class Virtual:
    """Virtual time as the gateway's sessions ask for it."""

    clock: VirtualClock

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
    """Plays sessions through the gateway as an agent would; `tells`: of its tool calls."""

    clock: VirtualClock
    engine: SteadyEngine
    tools: SimTools
    gateway: OpenSessions
    tells: Tells
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
        calls = step.calls if self.tells == "rounds" else ()
        names = tuple(call.name for call in calls)
        told = RoundRequest(session.id, step.prompt.num_tokens, step.is_last, parent, names)
        asked = self.gateway.ask(session.id, told, held)

    def _run(self, session: Session, key: str, call: ToolCall, go_on: Callable[[], None]) -> None:
        posts = self.tells in ("names", "kinds")
        if posts:
            burns = call.burns_cpu if self.tells == "kinds" else None
            assert self.gateway.start_tool(session.id, call.name, key, burns)

        def ended(queued_s: float | None) -> None:
            if posts:
                assert self.gateway.end_tool(session.id, call.name, key, queued_s)
            self.open_calls[session.id] -= 1
            if not self.open_calls[session.id]:
                go_on()

        if call.child is None:
            self.tools.run(call, ended)
            return
        child, now = call.child, self.clock.now
        self.clock.at(now, Due.ARRIVAL, lambda: self.arrive(child, session.id, lambda: ended(None)))


def run(clock: VirtualClock) -> None:
    while (action := clock.pop_due(FOREVER - 1.0)) is not None:
        action()


def simulated(workload: Sequence[Session], admission: Watched) -> list[tuple[Any, ...]]:
    clock = VirtualClock()
    engine = ForSimulator(SteadyEngine(clock))
    tools = SimTools(clock, ToolHost(CORES))
    sessions = SimulatedSessions(clock, tools, admission, engine, lambda _event: None)
    engine.sessions = sessions
    sessions.schedule(workload, None)
    run(clock)
    assert not sessions.unfinished
    return admission.story


def through_the_gateway(
    workload: Sequence[Session], admission: Watched, tells: Tells, gaps_burn: bool = False
) -> list[tuple[Any, ...]]:
    clock = VirtualClock()
    engine = SteadyEngine(clock)
    tools = SimTools(clock, ToolHost(CORES))
    sessions = OpenSessions(
        Virtual(clock),
        admission,
        lambda: Pressure(BLOCKS, engine.free),
        lambda _event: None,
        CORES,
        FOREVER,
        LoadRules(gaps_burn, frozenset({"fetch", "user"})),
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


def people() -> list[Session]:
    """Chats: after every round somebody reads and types, longer than the cores could be busy."""
    user = ToolCall("user", floor_s=9.0)
    rounds = (*(Round(100, 20, (user,)),) * 2, Round(50, 9))
    return [Session(f"s{number:02d}", rounds, arrival_s=0.17 * number) for number in range(24)]


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
    ("mars", "window_max=8", "window_min=2", "cpu_low=0.3", "cpu_high=0.6"),
    ("mars-released", "window_max=8", "window_min=2", "cpu_low=0.3", "cpu_high=0.6"),
]
WORLDS: dict[str, tuple[list[Session], Tells]] = {
    "gaps": (crowd(1), "nothing"),
    "told": (crowd(1), "kinds"),
    "three calls at once": (crowd(3), "kinds"),
    "three calls at once, by their names": (crowd(3), "names"),
    "sub-agents": (with_agents(), "kinds"),
    "people": (people(), "nothing"),
    "people, announced by their rounds": (people(), "rounds"),
    "people, told": (people(), "kinds"),
}
"""Sessions, and what their client tells the gateway of their tool calls."""


@pytest.mark.parametrize("backend", BACKENDS, ids=" ".join)
@pytest.mark.parametrize("world", WORLDS)
def test_the_controller_cannot_tell_them_apart(world: str, backend: tuple[str, ...]) -> None:
    workload, tells = WORLDS[world]
    by_gaps = tells in ("nothing", "rounds")
    theirs = simulated(workload, Watched(*backend, by_gaps=by_gaps))
    watched = Watched(*backend, by_gaps=by_gaps)
    ours = through_the_gateway(workload, watched, tells, gaps_burn=world == "gaps")
    assert ours == theirs
    assert {line[0] for line in ours} >= {"admit", "told"}


def loads(story: Sequence[tuple[Any, ...]]) -> list[int]:
    """Calls that burn CPU, as the controller saw them each time it was asked."""
    return [line[-2 if line[0] == "admit" else -1][2] for line in story if line[0] != "told"]


@pytest.mark.parametrize("world", ["people", "people, announced by their rounds", "people, told"])
def test_people_who_type_are_no_load_before_either_door(world: str) -> None:
    workload, tells = WORLDS[world]
    doors = (
        simulated(workload, Watched("fcfs-cap", "cap=3")),
        through_the_gateway(workload, Watched("fcfs-cap", "cap=3"), tells),
    )
    assert [set(loads(story)) for story in doors] == [{0}, {0}]


def test_calls_that_burn_are_load_before_either_door() -> None:
    for story in (
        simulated(crowd(3), Watched("fcfs-cap", "cap=3")),
        through_the_gateway(crowd(3), Watched("fcfs-cap", "cap=3"), "kinds"),
    ):
        assert max(loads(story)) > CORES


def test_a_gap_of_which_nothing_is_known_is_load_only_where_an_option_says_so() -> None:
    seen = {
        burn: max(
            loads(through_the_gateway(crowd(1), Watched("fcfs-cap", "cap=3"), "nothing", burn))
        )
        for burn in (False, True)
    }
    assert seen[False] == 0
    assert seen[True] > 0


def test_sessions_had_to_wait() -> None:
    story = simulated(crowd(1), Watched("fcfs-cap", "cap=3"))
    assert any(line[0] == "admit" and not line[-1] for line in story)
