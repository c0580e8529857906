"""KV that moves between replicas: it arrives, is found, and nothing of it stays behind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core import events
from marsbench.core.metrics.check import check_stream
from marsbench.core.session import Round, Session, ToolCall
from sim.test_replica_changes import change
from sim.test_replicas import POLICIES, played, whole
from sim.worlds import HARDWARE, workloads

pytestmark = pytest.mark.vllm

NOMAD = "sim.worlds:Nomad"
PAUSE = (ToolCall("t", floor_s=5.0),)
TWICE = Session("a", (Round(600, 40, PAUSE), Round(50, 10)))
SLOW = 1e-9 * 592 * HARDWARE.kv_bytes_per_token  # GB a second: what moves below takes a second
ALL = [*POLICIES, "infercept"]


def moved(seen: list[Any]) -> list[events.KvMoved]:
    return [one for one in seen if isinstance(one, events.KvMoved)]


@settings(max_examples=14)
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
        slow = played(workload, num, NOMAD, given, those, backend=policy, merge=False)[1]
        assert sorted(map(whole, seen)) == sorted(map(whole, slow))
        plain = played(workload, num, NOMAD, given, those, backend=policy, fast=False)[1]
        assert sorted(map(whole, seen)) == sorted(map(whole, plain))


def two(gb_s: float, changes: tuple[Any, ...] = (), **facts: Any) -> list[Any]:
    """A session's two rounds on two replicas, the second with the context of the first."""
    return played([TWICE], 2, NOMAD, (f"link_gb_s={gb_s}", "link_latency_s=0.25"), changes, **facts)[1]


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
