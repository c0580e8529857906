"""The order of vLLM's free list under a policy that ranks blocks, held to a list that is sorted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.settings import EngineSettings
from marsbench.core.sim.invariants import check_free_list
from marsbench.errors import RunFailedError
from marsbench.offload.host_kv import HostKv
from marsbench.proof.worlds import TinyWorld, world
from marsbench_backends.answers.policy import Answers
from marsbench_backends.answers.wrong import refuse
from marsbench_backends.policy import EvictionRank, Policy
from marsbench_backends.testing import FakeReq, FakeView
from tests.sim.test_shortcuts import SWITCHES
from tests.sim.worlds import HARDWARE, lines

pytestmark = pytest.mark.vllm
RANKING = "tests.sim.worlds:Ranking"
BLOCKS, SIZE = 12, 16


@dataclass
class Told(Policy):
    """Answers what it is told to."""

    ranks: list[EvictionRank] = field(default_factory=list)

    def eviction_order(self, req: Any, view: Any) -> Sequence[EvictionRank]:
        return self.ranks


class Pool:
    """vLLM's pool with the order on it, and the same order as sorted pairs of rank and turn."""

    def __init__(self) -> None:
        from vllm.v1.core.block_pool import BlockPool

        from marsbench_backends.vllm.decisions import Decisions
        from marsbench_backends.vllm.eviction import EvictionOrder

        self.pool = BlockPool(BLOCKS + 1, enable_caching=True, hash_block_size=SIZE)
        self.view, self.policy = FakeView(), Told()
        answers = Answers(self.policy, "told", self.view, refuse)
        self.order = EvictionOrder(self.pool, answers, Decisions())
        self.users: dict[str, list[Any]] = {}
        self.claims: dict[int, tuple[float, float, str]] = {}
        self.places: dict[int, tuple[float, float, int]] = {}
        self.turn = 0

    def take(self, name: str, number: int) -> None:
        """New blocks for a user, with contents of their own."""
        if name in self.users or number > self.pool.get_num_free_blocks():
            return
        self.users[name] = blocks = self.pool.get_new_blocks(number)
        for block in blocks:
            self.turn += 1
            block.set_block_hash(b"%d" % self.turn, SIZE)
            self.pool.cached_block_hash_to_block.insert(block.block_hash, block)
            self.claims.pop(block.block_id, None)
            self.places.pop(block.block_id, None)

    def share(self, name: str, other: str) -> None:
        """The same blocks for one more."""
        if name not in self.users and other in self.users:
            self.users[name] = self.users[other]
            self.pool.touch(self.users[name])

    def find(self, name: str, number: int) -> None:
        """What is cached and free of some content, for a user who comes back to it."""
        cached = [b for b in self.pool.blocks if b.block_hash is not None and not b.ref_cnt]
        if name not in self.users and cached:
            self.users[name] = cached[:number]
            self.pool.touch(cached[:number])
            for block in cached[:number]:
                self.places.pop(block.block_id, None)

    def give(self, name: str, ranks: list[EvictionRank]) -> None:
        """Its round ends: the last block first, as vLLM has it."""
        blocks = self.users.pop(name, None)
        if blocks is None:
            return
        self.policy.ranks = ranks
        self.order.rank(FakeReq(name), blocks)  # type: ignore[arg-type]
        for place, block in enumerate(blocks):
            self._claim(name, block, self._rank_of(place, ranks))
        self.pool.free_blocks(reversed(blocks))
        for block in reversed(blocks):
            if not block.ref_cnt:
                self._joins(block.block_id)

    def _rank_of(self, place: int, ranks: list[EvictionRank]) -> EvictionRank:
        plain = EvictionRank(math.inf, 0.0)
        return next((one for one in ranks if place * SIZE < one.upto), plain)

    def _claim(self, name: str, block: Any, new: EvictionRank) -> None:
        rank, until, owner = self.claims.get(block.block_id, (-math.inf, math.inf, name))
        if new.rank > rank or owner == name or until <= self.view.now:
            self.claims[block.block_id] = (new.rank, new.until, name)

    def _joins(self, block_id: int) -> None:
        self.turn += 1
        rank, until, _ = self.claims[block_id]
        if until <= self.view.now:
            rank, until = 0.0, math.inf
        self.places[block_id] = (rank, until, self.turn)

    def wait(self, seconds: float) -> None:
        """Time passes, and ranks are over in the order in which they run out."""
        self.view.now += seconds
        over = [(until, turn, b) for b, (_, until, turn) in self.places.items()]
        for until, _, block_id in sorted(over):
            if until <= self.view.now:
                self.turn += 1
                self.places[block_id] = (0.0, math.inf, self.turn)
        self.order.expire(self.view.now)

    def expected(self) -> list[int]:
        return sorted(self.places, key=lambda b: (self.places[b][0], self.places[b][2]))

    def found(self) -> list[int]:
        free = self.pool.free_block_queue.get_all_free_blocks()
        return [block.block_id for block in free if block.block_hash is not None]


NAMES = st.sampled_from("abcd")
RANKS = st.lists(
    st.builds(
        EvictionRank,
        st.sampled_from([8.0, 32.0, 40.0, math.inf]),
        st.sampled_from([-1.0, 0.0, 1.0, 7.0]),
        st.sampled_from([1_000.0, 1_001.0, math.inf]),
    ),
    max_size=3,
).map(lambda ranks: sorted(ranks, key=lambda one: one.upto))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), NAMES, st.integers(1, 5)),
        st.tuples(st.just("share"), NAMES, NAMES),
        st.tuples(st.just("find"), NAMES, st.integers(1, 5)),
        st.tuples(st.just("give"), NAMES, RANKS),
        st.tuples(st.just("wait"), st.sampled_from([0.25, 400.0])),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_the_list_is_sorted_by_rank_and_then_by_when_a_block_joined_it(
    steps: list[tuple[Any, ...]],
) -> None:
    world = Pool()
    for name, *given_ in steps:
        if name == "give":  # times are told from now on
            ranks = [
                EvictionRank(r.upto, r.rank, world.view.now + (r.until - 999.0)) for r in given_[1]
            ]
            given_ = [given_[0], ranks]
        getattr(world, name)(*given_)
        assert world.found() == world.expected(), (name, given_)
        upcoming = [until for _, until, _ in world.places.values()]
        assert world.order.next_expiry == min(upcoming, default=math.inf)
    assert world.pool.get_num_free_blocks() == len(
        world.pool.free_block_queue.get_all_free_blocks()
    )


def world_of(*names: str) -> Pool:
    """Users of two blocks each: a has the first and second, b the next."""
    world = Pool()
    for name in names:
        world.take(name, 2)
    return world


def test_the_lowest_rank_is_reused_first_and_the_highest_last() -> None:
    world = world_of("a", "b", "c")
    world.give("a", [EvictionRank(math.inf, 70.0)])
    world.give("b", [])
    world.give("c", [EvictionRank(16.0, 0.0), EvictionRank(math.inf, -1.0)])
    assert world.found() == [6, 4, 3, 5, 2, 1]
    world.pool.get_new_blocks(BLOCKS - 6 + 4)  # the empty ones, and four of these
    assert world.found() == [2, 1]


def test_when_its_time_is_over_a_block_is_as_if_it_were_given_back_then() -> None:
    world = world_of("a", "b", "c")
    world.give("a", [EvictionRank(math.inf, 70.0, 5.0)])
    world.give("b", [])
    assert (world.found(), world.order.next_expiry) == ([4, 3, 2, 1], 5.0)
    world.wait(5.0)
    world.give("c", [])
    assert (world.found(), world.order.next_expiry) == ([4, 3, 2, 1, 6, 5], math.inf)
    assert list(world.order.ranks()) == [0.0] * 6


def test_a_session_may_raise_what_it_shares_and_only_lower_what_it_raised() -> None:
    world = world_of("a", "c")
    world.share("b", "a")
    world.give("a", [EvictionRank(math.inf, 7.0)])
    world.give("b", [EvictionRank(math.inf, 1.0)])
    assert list(world.order.ranks()) == [7.0, 7.0]
    world.find("a", 2)
    world.give("a", [EvictionRank(math.inf, 1.0)])
    assert list(world.order.ranks()) == [1.0, 1.0]


def test_what_was_given_up_keeps_no_rank() -> None:
    world = world_of("a")
    world.give("a", [EvictionRank(math.inf, 7.0)])
    world.take("b", BLOCKS)
    world.give("b", [])
    assert set(world.order.ranks()) == {0.0}


def test_what_has_left_is_forgotten() -> None:
    """Else a long run would remember every block that it ever gave back."""
    world = Pool()
    for _ in range(100):
        world.take("a", 5)
        world.give("a", [EvictionRank(math.inf, 7.0)])
    kept = [chain for chains in world.order._ranks.values() for chain in chains]
    assert sum(len(chain.blocks) for chain in kept) <= 2 * (BLOCKS + 1)


def test_a_list_out_of_order_is_found_under_check() -> None:
    @dataclass
    class Disordered:
        eviction: Any = None

        def ranks(self) -> list[float]:
            return [0.0, 70.0, 1.0]

    check_free_list(Disordered())
    with pytest.raises(RunFailedError, match=r"a block of rank 70\.0 before one of 1\.0"):
        check_free_list(Disordered(Disordered()))


# --- in the simulator


def played(tiny: TinyWorld, backend: str = RANKING, **switches: bool) -> tuple[list[str], Any]:
    """The events of a world, the order of the free list checked at every step."""
    from marsbench.core.sim.simulation import SimConfig, Simulation

    events: list[Any] = []
    config = SimConfig(HARDWARE, tiny.settings, backend, check=True, sample_s=0.05, **switches)
    simulation = Simulation(config, events.append)
    simulation.run(tiny.sessions)
    return lines(events), simulation.engine


@pytest.mark.parametrize("seed", range(8))
def test_no_shortcut_moves_an_event_where_blocks_are_ranked(seed: int) -> None:
    """Beside holds, discards and swaps, in Python and in C, step by step and in macro steps."""
    found = [played(world(seed), **switches) for switches in SWITCHES]
    assert all(events == found[0][0] for events, _ in found)
    counts = [engine.decisions["eviction_order"] for _, engine in found]
    assert all(count == counts[0] for count in counts)
    assert counts[0]["differed"] > 10
    fewest, most = (f(e.counters.schedule_calls for _, e in found) for f in (min, max))
    assert fewest < 0.8 * most, "hardly a step was taken with others"


@pytest.mark.parametrize("store", ["eager", "lazy"])
def test_nor_where_vllm_copies_to_host_memory_what_goes_first(store: str) -> None:
    """Its lazy store reads the free list; what a request loads depends on what has left the GPU."""
    settings_ = replace(world(2).settings, host_kv=HostKv(0.02, store=store))
    tiny = replace(world(2), settings=settings_)
    merged, singly = (played(tiny, "tests.sim.worlds:Ranks", merge=m)[0] for m in (True, False))
    assert merged == singly
    assert any('"host_stored"' in line for line in merged)


@pytest.mark.parametrize(("backend", "is_ordered"), [("mars", False), (RANKING, True)])
def test_who_ranks_nothing_has_vllms_own_list(backend: str, is_ordered: bool) -> None:
    from marsbench.core.sim.simulation import SimConfig, Simulation

    config = SimConfig(HARDWARE, EngineSettings(kv_blocks=100), backend, fast=False)
    scheduler: Any = Simulation(config, lambda _: None).scheduler
    pool = scheduler.kv_cache_manager.block_pool
    assert (scheduler.eviction is not None) == is_ordered
    assert ("free_blocks" in vars(pool)) == is_ordered
