"""What a real server shows and what it hides: no figure is made up, none is 0 for want of sight."""

from __future__ import annotations

import pytest

from figures import summarise
from marsbench.core.events import (
    Evicted,
    GpuStart,
    KvUsage,
    PreemptionCount,
    PromptCached,
    Unmeasured,
)
from marsbench.core.metrics.check import check_stream
from marsbench.core.metrics.summary import Scale, measure
from metrics.story import a_round, a_session, told

HIDDEN = ("gpu_start", "preempted", "held", "unheld")


def seen_from_outside(name: str, arrived: float, ended: float, cached: int | None = 96):
    rounds = a_round(name, ready=arrived, first=arrived + 1, end=ended)
    rounds = [event for event in rounds if not isinstance(event, GpuStart)]
    rounds.insert(-1, PromptCached(ended, name, 0, cached, 128))
    return a_session(name, arrived, ended, rounds=rounds)


def test_cached_tokens_are_those_that_the_server_told():
    summary = summarise(told(seen_from_outside("a", 0.0, 9.0)), block_size=16, unmeasured=HIDDEN)
    assert summary["prefix_hit_rate"]["all"] == 96 / 160
    assert summary["evictions"]["recomputed_tokens"] == 32
    assert summary["evictions"]["recomputed_blocks"] == 2
    assert summary["evictions"]["preempt_recomputed_tokens"] is None


def test_one_round_of_which_nothing_was_told_makes_the_sum_unknown():
    parts = [seen_from_outside("a", 0.0, 9.0), seen_from_outside("b", 0.0, 9.0, cached=None)]
    assert summarise(told(*parts), unmeasured=HIDDEN)["evictions"]["recomputed_tokens"] is None


def test_the_stream_of_a_server_is_sound():
    counted = [PreemptionCount(0.0, 3), Unmeasured(5.0, "evicted", "some were lost")]
    assert check_stream(told(seen_from_outside("a", 0.0, 9.0), counted)) == []


def test_preemptions_are_what_the_server_counted_since_the_runs_start():
    counted = [PreemptionCount(0.0, 3), PreemptionCount(4.0, 5), PreemptionCount(9.0, 10)]
    session = seen_from_outside("a", 0.0, 9.0)
    assert summarise(told(session, counted), unmeasured=HIDDEN)["preemptions"] == 7
    assert summarise(told(session, counted[:1]), unmeasured=HIDDEN)["preemptions"] is None
    assert summarise(told(session), unmeasured=HIDDEN)["preemptions"] is None


def test_a_gap_in_the_evictions_makes_their_number_unknown():
    events = told(seen_from_outside("a", 0.0, 9.0), [Evicted(3.0, "a", 5)])
    assert summarise(events, unmeasured=HIDDEN)["evictions"]["blocks"] == 5
    gap = told(events, [Unmeasured(4.0, "evicted", "two were lost")])
    assert summarise(gap, unmeasured=HIDDEN)["evictions"]["blocks"] is None


def test_blocks_from_before_the_run_are_nobodys_loss():
    events = told(seen_from_outside("a", 0.0, 9.0), [Evicted(3.0, "other", 5)])
    assert check_stream(events) == []
    lost = summarise(events, unmeasured=HIDDEN)["evictions"]
    assert (lost["blocks"], lost["ended_blocks"], lost["live_blocks"]) == (5, 5, 0)


@pytest.fixture
def long_run():
    """A session every 10 s for 100 s; the n-th takes 1 + n s. Blocks leave and fill all along."""
    sessions = [a_session(f"s{n}", 10.0 * n, 10.0 * n + 1 + n) for n in range(11)]
    lost = [Evicted(10.0 * n + 5, "prefix:g", 1) for n in range(11)]
    used = [KvUsage(10.0 * n + 5, n, 0, 20 - n, 1, 0, 0) for n in range(11)]
    return told(*sessions, lost, used)


def test_warm_up_and_cool_down_are_played_and_not_measured(long_run):
    ideal = {f"s{n}": 1.0 for n in range(11)}
    scale = Scale(ideal_s=ideal, alphas=(5.0,), warm_up_s=15.0, cool_down_s=25.0)
    summary = measure(long_run, scale).summary
    assert summary["sessions"]["arrived"] == 11
    assert summary["makespan_s"] == 111.0
    # Those that arrived from 15 to 75 s: s2 … s7, which took 3 … 8 s.
    assert summary["latency"]["n"] == 6
    assert summary["latency"]["mean"] == 5.5
    goodput = summary["goodput"]["5"]
    assert (goodput["good"], goodput["arrived"]) == (3, 6)
    assert goodput["rate"] == 3 / 60
    assert summary["evictions"]["blocks"] == 7  # at 15, 25, … 75 s
    assert summary["kv_usage"]["used_blocks"]["peak"] == 7
    assert summary["ttft"]["ready"]["all"]["n"] == 6


def test_without_either_everything_is_measured(long_run):
    assert measure(long_run, Scale()).summary["latency"]["n"] == 11


def test_a_sub_agent_is_measured_with_its_parent():
    run = told(
        a_session("a", 0.0, 30.0), a_session("child", 12.0, 14.0, parent="a"),
        a_session("b", 10.0, 30.0), a_session("c", 20.0, 30.0),
    )  # fmt: skip
    summary = measure(run, Scale(warm_up_s=5.0)).summary
    assert summary["latency"]["n"] == 2
    assert summary["ttft"]["ready"]["all"]["n"] == 2
