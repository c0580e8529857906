"""What was found in the cache, what left it, and whose loss was felt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marsbench.core.events import Evicted, GpuStart, HostEvicted, Preempted, SwappedOut
from marsbench.core.metrics.cache import eviction_series, evictions, hit_rate
from marsbench.core.metrics.window import Window
from metrics.story import a_round, a_session, records

RUN = Window(0.0, 10.0)


def found_by(*parts, **kwargs):
    stream, rounds, sessions = records(*parts)
    return evictions(stream, sessions, rounds, kwargs.pop("run", RUN), **kwargs)


def test_the_hit_rate_weighs_tokens_and_keeps_first_rounds_apart():
    _, rounds, _ = records(
        a_round("a", 0, prompt=100, cached=20, reusable=0),
        a_round("a", 1, prompt=300, cached=240, reusable=280),
    )
    assert hit_rate(rounds) == {
        "rounds": 2,
        "all": 260 / 400,
        "continuation": 240 / 300,
        "host_all": 0.0,
        "host_continuation": 0.0,
        "of_reusable": 240 / 280,
    }


def test_what_is_loaded_from_host_memory_is_no_hit_on_the_gpu():
    _, rounds, _ = records(
        a_round("a", 0, prompt=100, cached=20, reusable=0),
        a_round("a", 1, prompt=300, cached=60, loaded=180, reusable=280),
    )
    assert hit_rate(rounds) == {
        "rounds": 2,
        "all": 80 / 400,
        "continuation": 60 / 300,
        "host_all": 180 / 400,
        "host_continuation": 180 / 300,
        "of_reusable": 240 / 280,
    }


def test_a_stream_that_does_not_tell_loads_apart_has_one_hit_rate_of_both():
    _, rounds, _ = records(a_round("a", 1, prompt=300, cached=240, loaded=None, reusable=240))
    found = hit_rate(rounds)
    assert (found["all"], found["host_all"], found["host_continuation"]) == (0.8, None, None)
    assert found["of_reusable"] == 1.0


def test_a_start_after_a_preemption_is_no_reuse():
    _, rounds, _ = records(
        a_round("a", 1, prompt=100, cached=50, reusable=50),
        [Preempted(1.0, "a", 1, 90), GpuStart(2.0, "a", 1, 96, 96, resumed=True)],
    )
    assert hit_rate(rounds)["all"] == 0.5


def test_rounds_that_nobody_measured_are_in_no_hit_rate():
    _, rounds, _ = records(a_round("a", 1, cached=None, reusable=None))
    assert hit_rate(rounds) == {
        "rounds": 0, "all": None, "continuation": None,
        "host_all": None, "host_continuation": None, "of_reusable": None,
    }  # fmt: skip


def test_an_engine_that_knows_hits_alone_still_has_a_hit_rate():
    _, rounds, _ = records(a_round("a", 1, prompt=100, cached=25, reusable=None))
    assert hit_rate(rounds)["continuation"] == 0.25
    assert hit_rate(rounds)["of_reusable"] is None


def test_evicted_blocks_are_split_by_what_their_owner_was_doing():
    found = found_by(
        a_session("done", 0.0, 2.0),
        a_session("busy", 0.0, 9.0),
        [
            Evicted(1.0, "done", 1),
            Evicted(2.0, "done", 10),
            Evicted(3.0, "busy", 100),
            Evicted(3.0, "prefix:tools", 1000),
        ],
    )
    assert (found["live_blocks"], found["ended_blocks"], found["prefix_blocks"]) == (101, 10, 1000)
    assert (found["blocks"], found["blocks_per_s"]) == (1111, 111.1)
    assert found["peak_blocks_per_s"] == 1100


def test_recomputed_tokens_are_those_a_session_had_computed_and_lost():
    found = found_by(
        a_round("a", 1, cached=64, reusable=96),
        a_round("b", 1, cached=0, reusable=33),
        a_round("c", 0, cached=0, reusable=0),
        block_size=16,
    )
    assert (found["recomputed_tokens"], found["recomputed_blocks"]) == (65, 5)


def test_tokens_from_host_memory_are_not_recomputed():
    found = found_by(
        a_round("a", 1, cached=32, loaded=48, reusable=96),
        [Preempted(1.0, "a", 1, 90), GpuStart(2.0, "a", 1, 16, 96, True, loaded_tokens=64)],
    )
    assert (found["recomputed_tokens"], found["preempt_recomputed_tokens"]) == (16, 16)


def test_a_context_that_leaves_for_host_memory_is_not_evicted():
    story = [
        a_session("a", 0.0, 9.0),
        [SwappedOut(3.0, "a", 100), Evicted(3.5, "a", 1), HostEvicted(4.0, "a", 30)],
    ]
    stream, _, sessions = records(*story)
    found = found_by(*story)
    assert (found["blocks"], found["live_blocks"], found["peak_blocks_per_s"]) == (1, 1, 1)
    assert sum(cell.blocks for cell in eviction_series(stream, sessions, RUN)) == 1


def test_recomputed_blocks_need_the_block_size():
    found = found_by(a_round("a", 1, cached=0, reusable=32))
    assert (found["recomputed_tokens"], found["recomputed_blocks"]) == (32, None)


def test_preemption_recompute_is_not_eviction_recompute():
    found = found_by(
        a_round("a", 1, cached=96, reusable=96),
        [Preempted(1.0, "a", 1, 96), GpuStart(2.0, "a", 1, 16, 96, resumed=True)],
    )
    assert (found["recomputed_tokens"], found["preempt_recomputed_tokens"]) == (0, 80)


def test_a_sum_with_an_unknown_part_is_unknown():
    found = found_by(
        a_round("a", 1, cached=0, reusable=32), a_round("b", 1, cached=None, reusable=None)
    )
    assert found["recomputed_tokens"] is None


def test_a_run_without_evictions_has_zero_where_the_engine_would_tell():
    found = found_by(a_session("a", 0.0, 9.0))
    assert (found["blocks"], found["blocks_per_s"], found["peak_blocks_per_s"]) == (0, 0.0, 0)


def test_a_run_whose_engine_cannot_see_evictions_has_none():
    found = found_by(a_session("a", 0.0, 9.0), unmeasured=["evicted"])
    measured = {"recomputed_tokens", "preempt_recomputed_tokens"}
    assert {value for name, value in found.items() if name not in measured} == {None}


def test_without_a_window_there_is_no_rate():
    found = found_by([], run=None)
    assert (found["blocks"], found["blocks_per_s"], found["peak_blocks_per_s"]) == (0, None, None)


def test_the_series_has_a_cell_for_every_second_quiet_ones_too():
    stream, _, sessions = records(
        a_session("a", 2.0, 5.5),
        [Evicted(2.0, "a", 1), Evicted(2.9, "a", 2), Evicted(5.5, "a", 4), Evicted(7.0, "a", 8)],
    )
    cells = eviction_series(stream, sessions, Window(2.0, 5.5))
    assert [tuple(cell) for cell in cells] == [(2.0, 3, 3), (3.0, 0, 0), (4.0, 0, 0), (5.0, 4, 0)]


@given(times=st.lists(st.floats(0, 10), max_size=20), length=st.floats(0.001, 10, exclude_min=True))
def test_the_series_adds_up_to_what_was_evicted_in_the_run(times, length):
    stream, _, sessions = records([Evicted(at, "prefix:p", 3) for at in times])
    cells = eviction_series(stream, sessions, Window(0.0, length))
    assert sum(cell.blocks for cell in cells) == 3 * sum(at <= length for at in times)
