"""vLLM's own offloading in the simulator: macro steps, books, and the connector's account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.events import (
    GpuEnd,
    GpuStart,
    HostDropped,
    HostLoaded,
    HostStored,
    HostUnderWay,
)
from marsbench.core.metrics.check import check_stream
from marsbench.core.metrics.summary import Scale, measure
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench.offload.host_kv import GIB, HostKv
from marsbench_backends.policy import Keep, Policy, Release, Swap
from tests.sim.worlds import HARDWARE, enough_blocks, lines, workloads

pytestmark = pytest.mark.vllm
BLOCK_GIB = 16 * HARDWARE.kv_bytes_per_token / GIB
KINDS = ("eager", "threshold:2", "lazy")


def offloading(blocks: int, store: str = "eager", **more: Any) -> HostKv:
    """Host memory of so many blocks."""
    return HostKv((blocks + 0.5) * BLOCK_GIB, store=store, **more)


# Lazy with less than the GPU's free list copies the same blocks over and over while it idles.
HOSTS = st.sampled_from(
    [
        *(offloading(blocks, store) for blocks in (12, 40) for store in KINDS[:2]),
        offloading(400),
        offloading(400, "lazy"),
        offloading(12, eviction="arc"),
        offloading(40, eviction="arc"),
        offloading(40, "threshold:2", eviction="arc"),
    ]
)


def played(
    workload: list[Any], extra: int, host_kv: HostKv | None, whole: bool = True, **config: Any
) -> tuple[list[Any], Any]:
    """The events under pressure, and the simulation. whole: a prompt must fit before it begins."""
    from marsbench.core.sim.simulation import SimConfig, Simulation

    blocks = enough_blocks(workload, 16) + extra
    knobs = EngineSettings(256, 8, kv_blocks=blocks, host_kv=host_kv, reserve_full_prompt=whole)
    seen: list[Any] = []
    simulation = Simulation(
        SimConfig(HARDWARE, knobs, **{"check": True, "sample_s": 0.05, **config}), seen.append
    )
    books = simulation.scheduler.host
    if host_kv is not None and not host_kv.is_lazy:
        books._manager.events = []  # the connector's own account of what came and went
    simulation.run(workload)
    return seen, simulation


def crowd(sessions: int = 8) -> list[Session]:
    """Sessions that push each other out of the GPU's cache between their rounds."""
    tool = ToolCall("fetch", floor_s=0.5)
    rounds = (Round(300, 40, (tool,)), Round(40, 30, (tool,)), Round(60, 10, (tool,)), Round(40, 9))
    return [Session(f"s{n}", rounds, arrival_s=0.05 * n) for n in range(sessions)]


def twins(names: Sequence[str]) -> list[Session]:
    """Sessions that end in one step, all but the last, which comes behind them."""
    early = [Session(name, (Round(60, 20),)) for name in names[:-1]]
    return [*early, Session(names[-1], (Round(80, 5),), arrival_s=30.0)]


def blocks_of(seen: list[Any], kind: type[Any]) -> int:
    return sum(event.blocks for event in seen if isinstance(event, kind))


@pytest.mark.parametrize("backend", [None, "tests.sim.worlds:Restless", "mars"])
def test_macro_steps_and_fast_loops_give_the_events_of_single_steps(backend: str | None) -> None:
    moved: Counter[type[Any]] = Counter()

    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(workload=workloads(), extra=st.integers(0, 40), host_kv=HOSTS)
    def same(workload: list[Any], extra: int, host_kv: HostKv) -> None:
        plain, _ = played(workload, extra, host_kv, backend=backend, merge=False, fast=False)
        quick, _ = played(workload, extra, host_kv, backend=backend)
        assert lines(quick) == lines(plain)
        assert check_stream(plain) == []
        moved.update({kind: blocks_of(plain, kind) for kind in (HostStored, HostDropped)})

    same()
    assert min(moved.values()) > 10, moved


@pytest.mark.parametrize(
    ("blocks", "store"), [(30, "eager"), (300, "eager"), (30, "threshold:2"), (300, "lazy")]
)
def test_the_same_where_sessions_come_back_from_host_memory(blocks: int, store: str) -> None:
    host_kv = offloading(blocks, store)
    plain, _ = played(crowd(), 30, host_kv, merge=False, fast=False)
    quick, simulation = played(crowd(), 30, host_kv)
    assert lines(quick) == lines(plain)
    assert simulation.counters.schedule_calls < simulation.counters.steps
    assert type(simulation.scheduler.host._half).__name__ == (
        "FastLazy" if store == "lazy" else "FastHalf"
    )
    if blocks == 300:
        assert blocks_of(quick, HostLoaded) > 100


class Swaps(Policy):
    """Every pause's blocks go to host memory."""

    host_tokens = 16_000

    def retain(self, paused: Any, view: Any) -> Any:
        return Keep() if paused.returned else Swap()


def a_load_that_waits_for_room(prompts: tuple[int, int]) -> list[Session]:
    """`a` returns from host memory but for the prefix, which `d` has taken from there.

    The prefix is cached on the GPU and in nobody's use, and two that decode reuse one free block
    after the other. As soon as its last block is gone nothing is to be loaded, and there is room
    for a first chunk of `a` where there was none for all of it.
    """
    group: dict[str, Any] = {"prefix_group": "g", "prefix_tokens": 160}
    pause = (ToolCall("fetch", floor_s=0.8),)
    long = [
        Session(name, (Round(tokens, 400),), arrival_s=0.65)
        for name, tokens in zip("bc", prompts, strict=True)
    ]
    return [
        Session("a", (Round(1_280, 20, pause), Round(60, 20)), **group),
        Session("d", (Round(176, 5),), arrival_s=0.35, **group),
        Session("e", (Round(640, 5),), arrival_s=0.45),
        *long,
    ]


def test_a_macro_step_ends_where_a_waiting_rounds_hit_is_reused() -> None:
    chunked = 0
    for extra, *prompts in (7, 256, 224), (5, 288, 256), (3, 256, 288):
        workload = a_load_that_waits_for_room((prompts[0], prompts[1]))
        facts: dict[str, Any] = {"backend": f"{__name__}:Swaps", "whole": False}
        plain, _ = played(workload, extra, None, **facts, merge=False)
        quick, simulation = played(workload, extra, None, **facts)
        assert lines(quick) == lines(plain)
        assert simulation.counters.schedule_calls < simulation.counters.steps / 2
        starts = [e for e in plain if isinstance(e, GpuStart) and e.session == "a"]
        ends = [e.at for e in plain if isinstance(e, GpuEnd) and e.session in "bc"]
        chunked += starts[1].loaded_tokens == 0 and starts[1].at < min(ends)
    assert chunked >= 1


@pytest.mark.parametrize("backend", ["fcfs", None])
@pytest.mark.parametrize("prefix", ["a", "b", "xy", "session-"])
def test_of_rounds_that_end_in_one_step_the_first_by_name_is_evicted_first(
    prefix: str, backend: str | None
) -> None:
    """And not the first of a set, whose order depends on the process."""
    names = [f"{prefix}{number}" for number in range(5)]
    seen, _ = played(twins(names), 200, offloading(14), backend=backend)
    assert [e.owner for e in seen if isinstance(e, HostDropped)] == names[:1]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    workload=workloads(), extra=st.integers(0, 40), host_kv=HOSTS.filter(lambda h: not h.is_lazy)
)
def test_events_are_the_connectors_own_account(
    workload: list[Any], extra: int, host_kv: HostKv
) -> None:
    seen, simulation = played(workload, extra, host_kv, backend=None)
    manager = simulation.scheduler.host._manager
    stored, removed = Counter[bytes](), Counter[bytes]()
    for event in manager.events:
        (removed if event.removed else stored).update(event.keys)
    assert stored.total() == blocks_of(seen, HostStored)
    assert removed.total() == blocks_of(seen, HostDropped)
    in_host = {key for key in stored if manager._policy.get(key) is not None}
    assert len(in_host) == stored.total() - removed.total()


def test_loads_are_what_rounds_find_when_they_start() -> None:
    seen, _ = played(crowd(), 30, offloading(300))
    back: Counter[tuple[str, int]] = Counter()
    for event in seen:
        if isinstance(event, HostLoaded):
            assert event.bytes == event.blocks * 16 * HARDWARE.kv_bytes_per_token
            assert event.waited_s >= 0.999 * event.copy_s > 0
            back[event.session, event.round] += 16 * event.blocks
        elif isinstance(event, GpuStart):
            came = back.pop((event.session, event.round), 0)
            assert came - event.loaded_tokens in ((0, 1) if came else (0,))
    assert not back


def test_bytes_of_a_block_are_the_models() -> None:
    _, simulation = played(crowd(1), 30, HostKv(100 * BLOCK_GIB))
    assert simulation.scheduler.host.host_books()[2] == 100


def test_without_it_nothing_is_said_of_it() -> None:
    off = EngineSettings()
    assert "host_kv" not in off.facts()
    assert EngineSettings(host_kv=HostKv(1.0)).facts()["host_kv"]["size_gib"] == 1.0
    assert EngineSettings(host_kv=HostKv(1.0)).without_host_kv == off


def test_copies_slow_the_steps_beside_them_by_what_they_take_of_the_bandwidth() -> None:
    """Two seconds of copies in a step of three, which cost a tenth of the bandwidth each."""
    from types import SimpleNamespace

    from marsbench.offload.eager import EagerOffload
    from marsbench.offload.link import Link

    link = Link(float)
    half = SimpleNamespace(manager=SimpleNamespace(prepare_store=None))
    connector = SimpleNamespace(update_state_after_alloc=None, connector_scheduler=half)
    scheduler = SimpleNamespace(connector=connector, block_size=16)
    offload = EagerOffload(scheduler, link, lambda: 0.0, 0.1)
    link.send(1, (b"a",), 0.0, 0.0)
    link.send(2, (b"b",), 2.5, 0.0)  # its second half falls into the next step
    link.send(3, (b"c",), 1.0, 0.0, (("r#0", 1),))
    assert offload.worker.end_of(0.0, 3.0) == 3.0 + 0.1 * (1.0 + 0.5 + 1.0)
    assert [c.what for c in link.take(2.0)] == [1, 3]
    assert link.next_end == 3.5


def __getattr__(name: str) -> Any:
    from vllm.v1.kv_offload.cpu.policies.lru import LRUCachePolicy

    if name != "Counting":
        raise AttributeError(name)

    class Counting(LRUCachePolicy):
        evicted = 0

        def evict(self, n: int, protected: Any) -> Any:
            type(self).evicted += n
            return super().evict(n, protected)

    globals()["Counting"] = Counting
    return Counting


def test_a_third_partys_eviction_is_asked() -> None:
    host_kv = offloading(40, eviction="tests.sim.test_offload.Counting")
    seen, simulation = played(crowd(), 30, host_kv)
    policy = type(simulation.scheduler.host._manager._policy)
    assert policy.__name__ == "Counting"
    assert policy.evicted == blocks_of(seen, HostDropped) > 0
    lru, _ = played(crowd(), 30, offloading(40))
    assert lines(seen) == lines(lru)


class Releases(Policy):
    """Is asked about pauses, and leaves them to the LRU."""

    def retain(self, paused: Any, view: Any) -> Release:
        return Release()


@pytest.mark.parametrize(("store", "kept"), [("eager", 320), ("lazy", 336)])
def test_a_policy_sees_where_a_context_is(store: str, kept: int) -> None:
    """After a crowd has pushed `a` out, while it is paused; eager keeps no generated tokens."""
    pause = (ToolCall("test", floor_s=30.0),)
    world = [Session("a", (Round(320, 20, pause), Round(10, 5)))]
    world += [Session(f"b{n}", (Round(320, 20),), arrival_s=3.0 + n / 10) for n in range(3)]
    from marsbench.core.sim.simulation import SimConfig, Simulation

    places: dict[float, Any] = {}
    knobs = EngineSettings(256, 8, kv_blocks=30, host_kv=offloading(400, store))

    def look(event: Any) -> None:
        if event.kind in ("gpu_end", "session_ended"):
            places[event.at] = simulation.scheduler.view.whereabouts("a")

    simulation = Simulation(SimConfig(HARDWARE, knobs, "tests.sim.test_offload:Releases"), look)
    simulation.run(world)
    seen = list(places.values())
    first, gone = seen[0], seen[-3]
    assert first.gpu_tokens + first.host_tokens + first.lost_tokens == 340
    assert first.gpu_tokens > 300
    assert (gone.gpu_tokens, gone.host_tokens) == (0, kept)
    assert gone.load_s == pytest.approx(HARDWARE.swap_s(kept))
    assert gone.lost_tokens > 0 < gone.compute_s


def test_copies_under_way_when_the_run_ends_are_told() -> None:
    """Over a link of 0.1 GB/s: both chunks of the only prompt."""
    from marsbench.core.sim.simulation import SimConfig, Simulation

    slow = replace(HARDWARE, host_link_bytes_per_s=1e8)
    knobs = EngineSettings(256, 8, kv_blocks=40, host_kv=offloading(100))
    seen: list[Any] = []
    Simulation(SimConfig(slow, knobs), seen.append).run([Session("a", (Round(400, 3),))])
    size = 25 * 16 * HARDWARE.kv_bytes_per_token
    assert seen[-1] == HostUnderWay(seen[-2].at, 2, size)
    figures = measure(seen, Scale()).summary["host_kv"]
    assert (figures["under_way_copies"], figures["under_way_bytes"]) == (2, size)
    assert figures["stored_blocks"] == 0


NEVER = "threshold:1000000"  # so that the link carries nothing but a policy's swaps


def pausing(sessions: int, gap_s: float) -> list[Session]:
    """A crowd with pauses of four seconds."""
    tool = ToolCall("fetch", floor_s=4.0)
    rounds = (Round(300, 40, (tool,)), Round(40, 30, (tool,)), Round(60, 10, (tool,)), Round(40, 9))
    return [Session(f"s{n}", rounds, arrival_s=gap_s * n) for n in range(sessions)]


@pytest.mark.parametrize(
    ("backend", "sessions", "gap_s", "extra", "late_s"),
    [("infercept", 4, 0.05, 4, 2e-3), ("oracle", 8, 0.5, 60, 1e-6)],
)
def test_swapping_on_host_kv_is_as_on_memory_of_its_own(
    backend: str, sessions: int, gap_s: float, extra: int, late_s: float
) -> None:
    """InferCept's ends are milliseconds earlier: what was loaded need not be copied out again."""
    of = {"backend": backend, "backend_settings": {"host_tokens": 6400}}
    found = []
    for host_kv in (None, offloading(400, NEVER, cost=0.0)):
        seen, _ = played(pausing(sessions, gap_s), extra, host_kv, **of)
        swaps = [(e.session, e.blocks) for e in seen if e.kind == "swapped_out"]
        starts = {(e.session, e.round): e.at for e in seen if e.kind == "gpu_start"}
        assert "host_evicted" not in {e.kind for e in seen}
        found.append((swaps, starts))
    (own_swaps, own), (swaps, starts) = found
    assert swaps == own_swaps
    assert len(swaps) >= 12
    assert starts == pytest.approx(own, abs=late_s)
