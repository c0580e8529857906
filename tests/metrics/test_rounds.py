"""A round's times and tokens are differences of what the events say."""

from __future__ import annotations

import pytest

from marsbench.core.events import GpuEnd, GpuFirstToken, GpuStart, GpuSubmit, Preempted, RoundReady
from marsbench.core.metrics.rounds import rounds_of, ttft, ttft_by_round
from marsbench.core.metrics.stream import Stream
from metrics.story import a_round, told


def rounds(*parts):
    return rounds_of(Stream(told(*parts)))


def only(*parts):
    (record,) = rounds(*parts)
    return record


def test_ttft_counts_from_ready_and_from_submit():
    record = only(a_round("a", ready=10.0, submit=14.0, start=15.0, first=17.0, end=20.0))
    assert (record.ttft_ready_s, record.ttft_submit_s) == (7.0, 3.0)
    assert (record.ready_at, record.submitted_at, record.started_at) == (10.0, 14.0, 15.0)
    assert (record.first_token_at, record.ended_at) == (17.0, 20.0)


def test_tpot_leaves_out_the_first_token():
    assert only(a_round("a", first=2.0, end=7.0, output=11)).tpot_s == 0.5


def test_a_round_of_one_token_has_no_tpot():
    assert only(a_round("a", first=2.0, end=2.0, output=1)).tpot_s is None


def test_a_round_that_was_only_ready_has_nothing_else():
    record = only([RoundReady(3.0, "a", 0)])
    assert record.ready_at == 3.0
    assert record.preemptions == 0
    measured = (record.submitted_at, record.started_at, record.ttft_ready_s, record.ttft_submit_s)
    tokens = (record.prompt_tokens, record.output_tokens, record.recomputed_tokens)
    assert {*measured, *tokens, record.preempt_recomputed_tokens} == {None}


def test_output_tokens_are_those_generated_not_those_asked_for():
    events = [RoundReady(0.0, "a", 0), GpuSubmit(0.0, "a", 0, 160, 100)]
    events += [GpuFirstToken(1.0, "a", 0), GpuEnd(2.0, "a", 0, 40)]
    assert only(events).output_tokens == 40


def test_tokens_that_were_reusable_and_not_found_are_recomputed():
    assert only(a_round("a", 1, cached=64, reusable=96)).recomputed_tokens == 32


def test_a_neighbours_prefix_is_no_negative_recompute():
    assert only(a_round("a", cached=64, reusable=0)).recomputed_tokens == 0


@pytest.mark.parametrize("unknown", [{"cached": None}, {"reusable": None}])
def test_recompute_is_unknown_where_either_side_is(unknown):
    assert only(a_round("a", **unknown)).recomputed_tokens is None


def test_what_a_preemption_cost_is_kept_apart_from_eviction():
    again = [
        Preempted(2.0, "a", 1, 200),
        GpuStart(4.0, "a", 1, 48, 192, resumed=True),
        Preempted(5.0, "a", 1, 200),
        GpuStart(6.0, "a", 1, 176, 192, resumed=True),
    ]
    record = only(a_round("a", 1, ready=1.0, cached=64, reusable=96, first=7.0, end=8.0), again)
    assert record.recomputed_tokens == 32
    assert record.preempt_recomputed_tokens == (192 - 48) + (192 - 176)
    assert record.preemptions == 2
    assert (record.started_at, record.cached_tokens) == (1.0, 64)


def test_rounds_are_listed_as_they_were_ready():
    found = rounds(
        a_round("b", 0, ready=1.0), a_round("a", 0, ready=0.0), a_round("a", 1, ready=2.0)
    )
    assert [(r.session, r.round) for r in found] == [("a", 0), ("b", 0), ("a", 1)]


def test_first_rounds_and_continuations_are_apart():
    found = ttft(
        rounds(
            a_round("a", 0, ready=0.0, submit=30.0, first=40.0),
            a_round("a", 1, ready=50.0, submit=50.0, first=52.0),
            a_round("b", 1, ready=60.0, submit=61.0, first=64.0),
        )
    )
    assert found["ready"]["first"]["mean"] == 40.0
    assert found["submit"]["first"]["mean"] == 10.0
    assert found["ready"]["continuation"]["mean"] == 3.0
    assert found["submit"]["continuation"]["mean"] == 2.5
    assert found["ready"]["all"]["n"] == 3


def test_p99_by_round_index_counts_those_with_a_first_token():
    found = ttft_by_round(
        rounds(
            a_round("a", 1, ready=0.0, submit=1.0, first=2.0),
            a_round("b", 1, ready=0.0, submit=1.0, first=4.0),
            a_round("c", 1),
            a_round("a", 0, ready=0.0, first=9.0),
            a_round("a", 2),
        )
    )
    assert [entry["round"] for entry in found] == [0, 1, 2]
    assert found[0] == {"round": 0, "n": 1, "ready_p99": 9.0, "submit_p99": 9.0}
    assert found[1]["n"] == 2
    assert found[1]["ready_p99"] == pytest.approx(2.0 + 0.99 * 2.0)
    assert found[1]["submit_p99"] == pytest.approx(1.0 + 0.99 * 2.0)
    assert found[2] == {"round": 2, "n": 0, "ready_p99": None, "submit_p99": None}
