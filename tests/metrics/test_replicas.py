"""Several replicas: how evenly they were busy, and what moves cost; worked out by hand."""

from __future__ import annotations

import pytest

from marsbench.core.events import (
    GpuStart,
    GpuSubmit,
    Held,
    Placed,
    ReplicaBusy,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
)
from marsbench.core.metrics.check import check_stream
from marsbench.core.metrics.replicas import replica_figures, variation
from marsbench.core.metrics.stream import Stream


def test_busy_shares_moves_and_what_they_cost() -> None:
    seen = [
        GpuSubmit(0.0, "a", 0, 1000, 1),
        GpuSubmit(2.0, "a", 1, 3000, 1),
        Placed(0.0, "a", 0, 0, 0),
        GpuStart(0.0, "a", 0, 0, 0),
        Placed(1.0, "b", 0, 1),
        Placed(2.0, "a", 1, 1, 960),
        GpuStart(2.0, "a", 1, 160, 960),
        GpuStart(3.0, "a", 1, 0, 960, resumed=True),
        Placed(4.0, "a", 2, 1),
        GpuStart(4.0, "a", 2, 0, 1600),
        Placed(5.0, "b", 1, 0),
        GpuStart(5.0, "b", 1, 320, 160),
        ReplicaBusy(10.0, 0, 6.0, 7),
        ReplicaBusy(10.0, 1, 2.0, 0),
        ReplicaBusy(10.0, 2, 1.0, 5),
    ]
    assert replica_figures(Stream(seen)) == {
        "num": 3,
        "rounds": [2, 3, 0],
        "busy_share": [0.6, 0.2, 0.1],
        "busy_cv": pytest.approx(0.7200823),  # 0.216 / 0.3
        "evicted_blocks": [7, 0, 5],
        "endless_hit_rate": 0.24,  # 960 of the 4,000 tokens whose rounds say what was there
        "moves": 2,
        "moved_recomputed_tokens": 800,
    }


def test_one_engine_has_no_replicas_and_a_run_cut_short_no_shares() -> None:
    assert replica_figures(Stream([])) is None
    cut = replica_figures(Stream([Placed(0.0, "a", 0, 2)]))
    assert cut is not None
    assert (cut["num"], cut["busy_share"], cut["busy_cv"]) == (3, None, None)
    assert (cut["evicted_blocks"], cut["endless_hit_rate"]) == (None, None)
    before = replica_figures(Stream([Placed(0.0, "a", 0, 0), ReplicaBusy(1.0, 0, 0.5)]))
    assert before is not None
    assert (before["evicted_blocks"], before["endless_hit_rate"]) == (None, None)
    assert variation([0.0, 0.0]) is None


@pytest.mark.parametrize(("places", "wrong"), [((0, 1), 0), ((0, 0), 1)])
def test_a_session_is_held_once_at_each_replica_that_it_was_at(
    places: tuple[int, int], wrong: int
) -> None:
    seen = [SessionArrived(0.0, "a"), SessionAdmitted(0.0, "a")]
    for number, replica in enumerate(places):
        key = (0.0, "a", number)
        seen += [RoundReady(*key), GpuSubmit(*key, 16, 1), Placed(*key, replica)]
    seen += [Held(0.0, "a", 1, None), Held(0.0, "a", 1, None)]
    found = [text for text in check_stream(seen) if "held" in text]
    assert len(found) == wrong


def test_a_round_is_placed_once() -> None:
    placed = [Placed(0.0, "a", 0, 0)] * 2
    before = [SessionArrived(0.0, "a"), RoundReady(0.0, "a", 0), GpuSubmit(0.0, "a", 0, 16, 1)]
    assert any("had this before" in text for text in check_stream([*before, *placed]))
