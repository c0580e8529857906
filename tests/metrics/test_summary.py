"""The summary is one pure function of the events."""

from __future__ import annotations

import json
import random

import pytest

from figures import summarise
from marsbench.core.events import Evicted, KvUsage, Preempted, SessionArrived, ToolEnd, ToolStart
from marsbench.core.metrics.summary import Scale, measure
from marsbench.errors import UsageError
from metrics.story import a_round, a_session, told

STORY = told(
    a_session(
        "a",
        0.0,
        20.0,
        rounds=[
            *a_round("a", 0, ready=0.0, first=4.0, end=5.0, prompt=100, output=10),
            ToolStart(5.0, "a", 0, 0, "bash"),
            ToolEnd(9.0, "a", 0, 0, "bash"),
            *a_round(
                "a",
                1,
                ready=9.0,
                first=15.0,
                end=20.0,
                prompt=200,
                output=20,
                reusable=96,
                cached=64,
            ),
        ],
        tenant="red",
    ),
    a_session("b", 10.0, 40.0, tenant="blue"),
    a_session("b/sub", 12.0, 14.0, tenant="blue", parent="b"),
    [Evicted(8.0, "a", 6), KvUsage(10.0, 5, 0, 5, 1, 0, 0)],
)
IDEAL = {"a": 10.0, "b": 10.0}


def test_a_small_run_by_hand():
    found = summarise(STORY, ideal_s=IDEAL, alphas=(2, 3), block_size=16, total_blocks=10)
    assert found["sessions"]["arrived"] == 2
    assert found["makespan_s"] == 40.0
    assert found["goodput"]["2"] == {"share": 0.5, "rate": 1 / 40, "good": 1, "arrived": 2}
    assert found["goodput"]["3"]["share"] == 1.0
    assert (found["latency"]["n"], found["latency"]["mean"]) == (2, 25.0)
    assert (found["slowdown"]["mean"], found["slowdown"]["max"]) == (2.5, 3.0)
    assert found["admission_wait"]["max"] == 0.0
    assert found["ttft"]["ready"]["first"]["n"] == 3
    assert found["ttft"]["ready"]["continuation"]["mean"] == 6.0
    assert [entry["n"] for entry in found["ttft_by_round"]] == [3, 1]
    assert found["tpot"]["max"] == 5 / 19
    assert found["throughput"]["output_tokens_per_s"] == (10 + 20 + 11 + 11) / 40
    assert found["preemptions"] == 0
    assert (found["evictions"]["blocks"], found["evictions"]["recomputed_blocks"]) == (6, 2)
    assert found["prefix_hit_rate"]["continuation"] == 64 / 200
    assert found["kv_usage"]["used_share"]["peak"] == 0.5
    assert found["tools_in_flight"] == {"mean": 0.1, "peak": 1.0}
    assert found["waiting"]["mean"] == 0.0
    assert found["steady"] is None


def test_tenants_are_told_apart_where_there_are_several():
    found = summarise(STORY, ideal_s=IDEAL, alphas=(2,))["tenants"]
    assert list(found) == ["blue", "red"]
    assert found["red"]["goodput"]["2"]["share"] == 1.0
    assert found["blue"]["goodput"]["2"]["share"] == 0.0
    assert found["blue"]["sessions"]["sub_agents"] == 1
    assert found["blue"]["slowdown"]["max"] == 3.0


def test_one_tenant_is_everybody():
    assert summarise(a_session("a", 0.0, 9.0))["tenants"] == {}


def test_a_run_of_nothing_has_figures_that_are_none():
    found = summarise([])
    assert found["sessions"]["arrived"] == 0
    assert found["makespan_s"] is None
    assert found["goodput"]["3"]["share"] is None
    assert found["latency"]["n"] == 0


def test_preemptions_are_unknown_where_the_engine_hides_them():
    events = [*a_round("a", ready=0.0), Preempted(1.0, "a", 0, 10)]
    assert summarise(events)["preemptions"] == 1
    assert summarise(events, unmeasured=["preempted"])["preemptions"] is None


def test_alpha_below_one_is_refused():
    with pytest.raises(UsageError, match="give --alpha 1"):
        summarise(STORY, alphas=(0.5,))


def test_the_tables_have_a_row_for_every_round_session_and_second():
    found = measure(STORY, Scale(ideal_s=IDEAL))
    assert [(r.session, r.round) for r in found.rounds] == [
        ("a", 0), ("a", 1), ("b", 0), ("b/sub", 0),
    ]  # fmt: skip
    assert [s.session for s in found.sessions] == ["a", "b", "b/sub"]
    assert sum(cell.blocks for cell in found.evictions) == 6
    assert len(found.evictions) == 41


def test_the_same_events_give_the_same_bytes():
    texts = {json.dumps(summarise(list(STORY), ideal_s=IDEAL)) for _ in range(2)}
    assert len(texts) == 1


def test_the_order_of_events_at_one_instant_changes_nothing():
    """Engines may emit what happens at one instant in any order that obeys the rules."""
    shuffled = list(STORY)
    arrivals = [event for event in shuffled if isinstance(event, SessionArrived)]
    others = [event for event in shuffled if not isinstance(event, SessionArrived)]
    random.Random(1).shuffle(others)
    others.sort(key=lambda event: event.at)
    assert summarise([*arrivals, *others], ideal_s=IDEAL) == summarise(STORY, ideal_s=IDEAL)
