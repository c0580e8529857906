"""Several engines behind a router: one is the simulator, and many keep their books."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core import events
from marsbench.core.metrics.check import check_stream
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.simulation import SimConfig, Simulation
from marsbench.errors import RunFailedError
from marsbench.replicas.changes import ReplicaEvent
from marsbench.replicas.config import FleetConfig
from marsbench.replicas.fleet import Fleet
from marsbench.replicas.registry import ROUTERS, choose_router
from marsbench.replicas.router import RoundToPlace, Router
from sim.worlds import HARDWARE, enough_blocks, lines, workloads

pytestmark = pytest.mark.vllm

POLICIES = ["fcfs", None, "sim.worlds:Restless", "sim.worlds:Sliced", "mars"]


def config(workload: list[Session], **facts: Any) -> SimConfig:
    blocks = enough_blocks(workload, 16)
    engine = EngineSettings(max_num_batched_tokens=256, max_num_seqs=4, kv_blocks=blocks)
    return SimConfig(HARDWARE, engine, sample_s=0.1, check=True, **facts)


def played(
    workload: list[Session],
    num: int,
    router: str,
    given: tuple[str, ...] = (),
    changes: tuple[ReplicaEvent, ...] = (),
    **facts: Any,
) -> tuple[Fleet, list[Any]]:
    seen: list[Any] = []
    several = FleetConfig(num, choose_router(router, given), changes)
    fleet = Fleet(config(workload, **facts), several, seen.append)
    fleet.run(workload)
    return fleet, seen


@settings(max_examples=8)
@given(workloads(), st.sampled_from(POLICIES))
def test_one_replica_is_the_simulation(workload: list[Session], policy: str | None) -> None:
    alone: list[Any] = []
    Simulation(config(workload, backend=policy), alone.append).run(workload)
    _, seen = played(workload, 1, "round-robin", backend=policy)
    own = [one for one in seen if not isinstance(one, events.Placed | events.ReplicaBusy)]
    assert sorted(lines(own)) == sorted(lines(alone))


@settings(max_examples=14)
@given(workloads(), st.integers(2, 4), st.sampled_from(sorted(ROUTERS)), st.sampled_from(POLICIES))
def test_every_round_is_served_once_and_the_books_balance(
    workload: list[Session], num: int, router: str, policy: str | None
) -> None:
    fleet, seen = played(workload, num, router, backend=policy)
    total = num * fleet.config.num_blocks
    assert check_stream(seen, total) == []
    rounds = sum(len(s.rounds) for root in workload for s in root.walk())
    for kind in (events.Placed, events.GpuEnd):
        keys = Counter(event.key for event in seen if isinstance(event, kind))
        assert len(keys) == rounds
        assert set(keys.values()) == {1}
    for event in seen:
        if isinstance(event, events.KvUsage):
            assert event.used_blocks + event.held_blocks + event.free_blocks == total  # type: ignore[operator]
    findable = {e.key: e.findable_tokens for e in seen if isinstance(e, events.Placed)}
    evicted = sum(event.blocks for event in seen if isinstance(event, events.Evicted))
    assert sum(replica.evicted_blocks for replica in fleet.replicas) == evicted
    # A round finds what was computed when it was placed; what others may compute of its prompt
    # while it waits is their common prefix, in whole blocks.
    size = fleet.config.settings.block_size
    shared = {s.id: s.prefix_tokens // size * size for root in workload for s in root.walk()}
    for event in seen:
        # One that was preempted finds what it has computed itself since it was placed.
        if isinstance(event, events.GpuStart) and not event.resumed:
            assert event.cached_tokens <= max(findable[event.key], shared[event.session])
    for replica in fleet.replicas:
        assert replica.free_blocks(1e9) + replica.held_blocks == fleet.config.num_blocks
    assert fleet.placing.views.books._rounds == {}
    assert lines(played(workload, num, router, backend=policy)[1]) == lines(seen)


@settings(max_examples=8)
@given(workloads(), st.integers(2, 3), st.sampled_from(sorted(ROUTERS)), st.sampled_from(POLICIES))
def test_planned_runs_give_the_events_of_single_steps(
    workload: list[Session], num: int, router: str, policy: str | None
) -> None:
    fast, slow = (
        played(workload, num, router, backend=policy, merge=on)[1] for on in (True, False)
    )
    assert sorted(map(whole, fast)) == sorted(map(whole, slow))


def whole(event: Any) -> str:
    """Its line; sums of durations differ in a last digit by how many are added at once."""
    if isinstance(event, events.ReplicaBusy):
        return f"busy {event.replica} {event.busy_s:.9f}"
    return str(event.to_json())


@settings(max_examples=6)
@given(workloads(), st.integers(2, 3), st.sampled_from(["kv-aware", "dynamo"]))
def test_what_is_heard_in_time_is_what_is_there(
    workload: list[Session], num: int, router: str
) -> None:
    """A delay shorter than any step and pause moves nothing, though it is kept in other books."""
    at_once = played(workload, num, router)[1]
    soon = played(workload, num, router, ("kv_event_delay_s=1e-12",))[1]
    assert sorted(map(whole, soon)) == sorted(map(whole, at_once))


class Asks(Router):
    """Sends everything to the first replica, and keeps what it was shown of it."""

    hears_kv_events: ClassVar[bool] = True

    def route(self, ask: RoundToPlace, replicas: Any) -> int:
        self.__dict__.setdefault("seen", []).append(replicas[0].matched_tokens)
        return 0


@pytest.mark.parametrize(("delay_s", "heard"), [(0.0, 96), (1.0, 96), (10.0, 0)])
def test_kv_events_are_heard_when_their_delay_is_over(delay_s: float, heard: int) -> None:
    session = Session("a", (Round(100, 3, (ToolCall("t", floor_s=5.0),)), Round(10, 3)))
    given = (f"kv_event_delay_s={delay_s}",)
    fleet, _ = played([session], 2, "sim.test_replicas:Asks", given)
    asks: Any = fleet.placing.router
    assert asks.seen == [0, heard]


class NamesNobody(Router):
    """Answers with a replica that there is none of."""

    def route(self, ask: RoundToPlace, replicas: Any) -> int:
        return len(replicas)


def test_a_router_that_names_no_replica_is_said() -> None:
    with pytest.raises(RunFailedError, match=r"named replica 2; .* was shown: 0, 1"):
        played([Session("a", (Round(100, 3),))], 2, "sim.test_replicas:NamesNobody")
