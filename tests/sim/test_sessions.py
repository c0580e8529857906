"""Sessions in virtual time, before an engine that answers after a set time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from marsbench.core import events
from marsbench.core.session import Generate, Round, Session, ToolCall
from marsbench.core.sim.clock import Due, VirtualClock
from marsbench.core.sim.sessions import LiveSession, SimSessions
from marsbench.core.sim.tools import SimTools
from marsbench.hardware.host import ToolHost
from marsbench_backends.admission import Admission, EngineState, FixedCap
from marsbench_backends.signals import Signal, ToolEnded


@dataclass
class SteadyEngine:
    """Generates every round in one second."""

    clock: VirtualClock
    sessions: SimSessions | None = None
    told: list[Any] = field(default_factory=list)

    def submit(self, live: LiveSession, step: Generate) -> None:
        prompt = step.prompt

        def done() -> None:
            assert self.sessions is not None
            self.sessions.round_ended(live, prompt.output_tokens, prompt.round)

        self.clock.at(self.clock.now + 1.0, Due.TOOL_END, done)

    def tell(self, signal: Any) -> None:
        self.told.append(signal)

    def forget(self, session: Session) -> None: ...

    def kv_blocks(self) -> tuple[int, int, int]:
        return 100, 100, 16

    def prefix_tokens(self) -> tuple[int, int]:
        return 0, 0


def timeline(
    workload: list[Session],
    admission: Admission | None = None,
    lanes: int | None = None,
    cores: int = 8,
) -> list[tuple[float, str, str]]:
    """(time, event, session) of everything that happened, KV and GPU details left out."""
    clock, seen = VirtualClock(), []
    engine = SteadyEngine(clock)
    tools = SimTools(clock, ToolHost(cores))
    sessions = SimSessions(clock, tools, admission or Admission(), engine, seen.append)
    engine.sessions = sessions
    sessions.schedule(workload, lanes)
    while (action := clock.pop_due(float("inf"))) is not None:
        action()
    assert not sessions.unfinished
    return [(e.at, e.kind, getattr(e, "session", "")) for e in seen]


def at(story: list[tuple[float, str, str]], kind: str) -> list[tuple[float, str]]:
    return [(time, session) for time, k, session in story if k == kind]


def test_a_round_is_ready_when_the_last_of_its_tool_calls_has_ended() -> None:
    tools = (ToolCall("a", floor_s=2.0), ToolCall("b", floor_s=5.0))
    story = timeline([Session("s", (Round(10, 1, tools), Round(10, 1)), arrival_s=3.0)])
    assert at(story, "round_ready") == [(3.0, "s"), (9.0, "s")]
    assert at(story, "tool_end") == [(6.0, "s"), (9.0, "s")]
    assert at(story, "session_ended") == [(10.0, "s")]


def test_the_tools_of_the_last_round_are_not_run() -> None:
    story = timeline([Session("s", (Round(10, 1, (ToolCall("a", floor_s=9.0),)),))])
    assert at(story, "tool_start") == []
    assert at(story, "session_ended") == [(1.0, "s")]


def test_tools_that_burn_cpu_share_the_cores() -> None:
    rounds = (Round(10, 1, (ToolCall("t", "cpu", cpu_s=2.0),)), Round(10, 1))
    story = timeline([Session("a", rounds), Session("b", rounds)], cores=1)
    assert at(story, "tool_end") == [(5.0, "a"), (5.0, "b")]


def test_a_parallel_call_has_as_many_cores_as_it_can_use() -> None:
    def one(name: str, cores: int) -> Session:
        call = ToolCall("build", "cpu", cpu_s=6.0, cores=cores)
        return Session(name, (Round(10, 1, (call,)), Round(10, 1)))

    assert at(timeline([one("a", 3)], cores=4), "tool_end") == [(3.0, "a")]
    # Four threads on two cores: a's three have 1.5 of them for 4 s, then b has one.
    story = timeline([one("a", 3), one("b", 1)], cores=2)
    assert at(story, "tool_end") == [(5.0, "a"), (9.0, "b")]


def test_a_parent_waits_for_its_sub_agents_which_run_at_once() -> None:
    def agent(name: str, rounds: int, delay: float) -> ToolCall:
        child = Session(name, (Round(10, 1),) * rounds, arrival_s=delay)
        return ToolCall("agent", "agent", child=child)

    calls = (agent("s/0", 2, 0.0), agent("s/1", 1, 4.0))
    story = timeline([Session("s", (Round(10, 1, calls), Round(10, 1)))])
    assert at(story, "session_arrived") == [(0.0, "s"), (1.0, "s/0"), (5.0, "s/1")]
    assert at(story, "session_ended") == [(3.0, "s/0"), (6.0, "s/1"), (7.0, "s")]


def test_a_cap_holds_sessions_back_and_sub_agents_pass_with_their_parent() -> None:
    child = ToolCall("agent", "agent", child=Session("a/0", (Round(10, 1),)))
    a = Session("a", (Round(10, 1, (child,)), Round(10, 1)))
    story = timeline([a, Session("b", (Round(10, 1),), arrival_s=0.5)], FixedCap(cap=1))
    assert at(story, "session_admitted") == [(0.0, "a"), (1.0, "a/0"), (3.0, "b")]
    assert at(story, "round_ready")[1] == (0.5, "b")  # ready from its arrival: the wait is felt


def test_lanes_start_a_session_when_one_has_ended() -> None:
    workload = [Session(f"s{i}", (Round(10, 1),)) for i in range(3)]
    story = timeline(workload, lanes=2)
    assert at(story, "session_arrived") == [(0.0, "s0"), (0.0, "s1"), (1.0, "s2")]


class Looking(FixedCap):
    """Lets one in at a time; writes down the load that it sees, and what it is told of queueing."""

    def __init__(self) -> None:
        super().__init__(cap=1)
        self.tick_s = 1.0
        self.loads: dict[float, int] = {}
        self.queued: dict[str, float | None] = {}

    def tick(self, state: EngineState) -> None:
        self.loads[state.now] = state.num_cpu_calls

    def observe(self, signal: Signal) -> None:
        if isinstance(signal, ToolEnded):
            self.queued[signal.name] = signal.queued_s


def test_load_is_what_burns_cpu_not_who_types_nor_a_sub_agent() -> None:
    calls = (
        ToolCall("user", floor_s=6.0),
        ToolCall("agent", "agent", child=Session("a/0", (Round(10, 1),) * 3)),
        ToolCall("build", "cpu", cpu_s=2.5),
        ToolCall("install", "cpu", cpu_s=1.5, floor_s=5.0),
    )
    controller = Looking()
    first = Session("a", (Round(10, 1, calls), Round(10, 1)))
    timeline([first, Session("b", (Round(10, 1),))], controller)
    assert [controller.loads[t] for t in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)] == [2, 2, 1, 0, 0, 0]
    assert controller.queued == {"user": None, "agent": None, "build": 0.0, "install": 0.0}


def test_time_never_goes_back_and_what_ends_comes_before_what_begins() -> None:
    rounds = (Round(10, 1, (ToolCall("t", floor_s=1.0),)), Round(10, 1))
    workload = [Session("a", rounds), Session("b", rounds, arrival_s=2.0)]
    story = timeline(workload)
    assert [t for t, _, _ in story] == sorted(t for t, _, _ in story)
    kinds = [(k, s) for t, k, s in story if t == 2.0]
    assert kinds.index(("tool_end", "a")) < kinds.index(("session_arrived", "b"))


def test_every_event_of_a_story_reads_back_from_its_line() -> None:
    clock, seen = VirtualClock(), []
    engine = SteadyEngine(clock)
    sessions = SimSessions(clock, SimTools(clock, ToolHost(1)), Admission(), engine, seen.append)
    engine.sessions = sessions
    sessions.schedule([Session("s", (Round(10, 1, (ToolCall("a"),)), Round(5, 1)))], None)
    while (action := clock.pop_due(float("inf"))) is not None:
        action()
    assert [events.from_json(e.to_json().encode()) for e in seen] == seen
