"""What moved between the GPU and host memory, and what an engine does not tell of it."""

from __future__ import annotations

import pytest

from figures import summarise
from marsbench.core.events import (
    Evicted,
    HostEvicted,
    PromptCached,
    SwappedIn,
    SwappedOut,
    Unheld,
    from_json,
)
from marsbench.core.metrics.swaps import swaps
from metrics.story import a_round, a_session, records, told

UNKNOWN = {"out_blocks": None, "in_blocks": None, "lost_blocks": None}


def a_swap(loaded: int | None = 64) -> list:
    """Six blocks of 16 tokens go, four come back, two are lost."""
    return told(
        a_session("a", 0.0, 9.0, rounds=a_round("a", first=1.0, end=1.0)),
        [SwappedOut(2.0, "a", 6), HostEvicted(3.0, "a", 2)],
        a_round("a", 1, ready=4.0, start=5.0, first=9.0, end=9.0, reusable=96, loaded=loaded),
        [SwappedIn(5.0, "a", 1, 4)],
    )


def found_by(*parts, unmeasured=()):
    stream, rounds, _ = records(*parts)
    return swaps(stream, rounds, unmeasured)


def test_blocks_go_come_back_and_are_lost():
    assert found_by(a_swap()) == {"out_blocks": 6, "in_blocks": 4, "lost_blocks": 2}


def test_an_engine_without_host_memory_swaps_nothing():
    assert found_by(a_session("a", 0.0, 9.0)) == {"out_blocks": 0, "in_blocks": 0, "lost_blocks": 0}


@pytest.mark.parametrize(
    ("story", "unmeasured"),
    [
        (a_swap(), ["swapped_out"]),
        (a_swap(loaded=None), []),
        ([*a_session("a"), PromptCached(1.0, "a", 0, 0, 0)], ["gpu_start", "swapped_out"]),
    ],
    ids=["hidden", "loads not told", "a server"],
)
def test_an_engine_that_does_not_tell_has_no_count(story, unmeasured):
    assert found_by(story, unmeasured=unmeasured) == UNKNOWN


def test_a_swap_costs_what_was_lost_of_it_and_no_more():
    found = summarise(a_swap(), block_size=16)
    assert found["swaps"] == {"out_blocks": 6, "in_blocks": 4, "lost_blocks": 2}
    assert found["evictions"]["blocks"] == 0
    assert (found["evictions"]["recomputed_tokens"], found["evictions"]["recomputed_blocks"]) == (
        32, 2,
    )  # fmt: skip


def test_a_stream_of_before_swaps_were_told_apart_is_read_as_it_was():
    line = (
        '{"event":"gpu_start","at":5.0,"session":"a","round":1,"cached_tokens":96,'
        '"reusable_tokens":96,"resumed":false}'
    )
    story = [
        *(e for e in a_swap() if e.at < 5.0 and e.kind not in ("swapped_out", "host_evicted")),
        Unheld(5.0, "a", "swapped"),
        Evicted(5.0, "a", 6),
        from_json(line.encode()),
    ]
    found = summarise(story)
    assert found["swaps"] == UNKNOWN
    assert (found["evictions"]["blocks"], found["evictions"]["recomputed_tokens"]) == (6, 0)
    assert found["prefix_hit_rate"]["continuation"] == 96 / 160
