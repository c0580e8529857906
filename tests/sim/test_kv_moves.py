"""KV that moves between replicas: it arrives, is found, and nothing of it stays behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core import events
from marsbench.core.metrics.check import check_stream
from marsbench.core.metrics.replicas import replica_figures
from marsbench.core.metrics.stream import Stream
from marsbench.core.session import Round, Session, ToolCall
from marsbench.errors import RunFailedError
from marsbench.replicas.router import Placement, RoundToPlace, Router
from sim.test_replica_changes import change, kinds
from sim.test_replicas import POLICIES, played, whole
from sim.worlds import HARDWARE, workloads

pytestmark = pytest.mark.vllm

NOMAD = "sim.worlds:Nomad"
PAUSE = (ToolCall("t", floor_s=5.0),)
TWICE = Session("a", (Round(600, 40, PAUSE), Round(50, 10)))
SLOW = 1e-9 * 592 * HARDWARE.kv_bytes_per_token  # GB a second: what moves below takes a second
ALL = [*POLICIES, "infercept", "retention"]


def moved(seen: list[Any]) -> list[events.KvMoved]:
    return [one for one in seen if isinstance(one, events.KvMoved)]


@settings(max_examples=6)
@given(
    workloads(),
    st.integers(2, 3),
    st.sampled_from(ALL),
    st.sampled_from([1e-3, 0.05, 50.0]),
    st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted),
)
def test_books_balance_and_planned_runs_are_single_steps(
    workload: list[Session], num: int, policy: str | None, gb_s: float, shares: list[float]
) -> None:
    given = (f"link_gb_s={gb_s}", "link_latency_s=0.01")
    end_s = played(workload, num, NOMAD, given, backend=policy)[1][-1].at
    leaves, joins = (share * end_s for share in shares)
    changes = (change(leaves, 1, "leaves"), change(joins, 1, "joins"))
    for those in ((), changes):
        fleet, seen = played(workload, num, NOMAD, given, those, backend=policy)
        assert check_stream(seen, num * fleet.config.num_blocks) == []
        for replica in fleet.replicas:
            assert replica.free_blocks(1e9) + replica.held_blocks == fleet.config.num_blocks
            assert replica.scheduler.lent == {}
        plain = {"merge": False, "fast": not those}
        slow = played(workload, num, NOMAD, given, those, backend=policy, **plain)[1]
        assert sorted(map(whole, seen)) == sorted(map(whole, slow))


def two(gb_s: float, changes: tuple[Any, ...] = ()) -> list[Any]:
    """A session's two rounds on two replicas, the second with the context of the first."""
    link = (f"link_gb_s={gb_s}", "link_latency_s=0.25")
    return played([TWICE], 2, NOMAD, link, changes)[1]


def test_a_context_that_was_copied_is_found_and_not_computed_again() -> None:
    seen = two(SLOW)
    (copy,) = moved(seen)
    assert (copy.replica, copy.source, copy.blocks) == (1, 0, 39)  # 640 tokens; the last is missing
    assert copy.bytes == 624 * HARDWARE.kv_bytes_per_token
    assert copy.copy_s == pytest.approx(624 / 592)
    assert copy.waited_s == pytest.approx(copy.copy_s + 0.25)
    submit = kinds(seen, "a", events.GpuSubmit)[1]
    start = kinds(seen, "a", events.GpuStart)[1]
    assert start.at == copy.at == pytest.approx(submit.at + copy.waited_s)
    assert (start.cached_tokens, start.loaded_tokens, start.reusable_tokens) == (0, 624, 624)


def test_the_figures_of_moves_are_those_of_their_events() -> None:
    seen = two(SLOW)
    found = replica_figures(Stream(seen))
    assert found is not None
    moves, (copy,) = found["kv_moves"], moved(seen)
    assert (moves["rounds"], moves["bytes"], moves["saved_tokens"]) == (1, copy.bytes, 624)
    assert moves["wait"]["mean"] == copy.waited_s
    share = copy.copy_s / seen[-1].at
    assert (moves["out_busy_share"], moves["in_busy_share"]) == ([share, 0.0], [0.0, share])
    assert (found["moves"], found["moved_recomputed_tokens"]) == (1, 0)


def test_copies_queue_for_a_lane_of_each_end() -> None:
    """Both from replica 0, to 1 and 2: the second begins when the first is over."""
    makes_room = Session("c", (Round(2_000, 2),), arrival_s=50.0)  # by its size alone
    three = [TWICE, replace(TWICE, id="b"), makes_room]
    seen = played(three, 3, "sim.worlds:Spreads", (f"link_gb_s={SLOW}",))[1]
    first, second = moved(seen)
    assert (first.source, second.source) == (0, 0)
    assert {first.replica, second.replica} == {1, 2}
    assert second.at == pytest.approx(first.at + second.copy_s)
    assert second.waited_s > 1.5 * second.copy_s


def test_what_was_under_way_from_a_replica_that_left_is_computed() -> None:
    middle = moved(two(SLOW))[0].at - 0.5
    seen = two(SLOW, (change(middle, 0, "leaves"),))
    assert moved(seen) == []
    start = kinds(seen, "a", events.GpuStart)[1]
    assert (start.at, start.cached_tokens, start.loaded_tokens) == (middle, 0, 0)
    assert check_stream(seen) == []


def test_a_round_whose_replica_left_with_its_copy_is_sent_again() -> None:
    middle = moved(two(SLOW))[0].at - 0.5
    seen = two(SLOW, (change(middle, 1, "leaves"),))
    assert moved(seen) == []
    assert [one.replica for one in kinds(seen, "a", events.Placed)] == [0, 1, 0]
    start = kinds(seen, "a", events.GpuStart)[1]
    assert (start.at, start.cached_tokens, start.resumed) == (middle, 624, False)


class NoLink(Router):
    """Asks for a copy, and is no MovingRouter."""

    def route(self, ask: RoundToPlace, replicas: Any) -> Placement:
        return Placement(0, 1)


def test_a_router_without_a_link_copies_nothing() -> None:
    with pytest.raises(RunFailedError, match=r"NoLink named replica 1 to copy from; only a subcl"):
        played([TWICE], 2, "sim.test_kv_moves:NoLink")
