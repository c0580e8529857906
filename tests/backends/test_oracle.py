"""The oracle by hand: 1 ms a prompt token, 3 ms an output token."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench_backends.policies.oracle import Oracle
from marsbench_backends.policy import Keep, Swap
from marsbench_backends.signals import Future, Signal
from marsbench_backends.testing import (
    FakeView,
    ended,
    gone,
    order,
    paused,
    play,
    req,
    running,
    submitted,
)


def comes(
    session: str,
    prompt: int,
    output: int = 0,
    *,
    tool_s: float = 0.0,
    context: int = 100,
    parent_id: str | None = None,
) -> Signal:
    """A round of a session with so many tokens still to come, this round's included."""
    future = Future(2, prompt, output, tool_s, tool_s, prompt + output)
    return submitted(session, tokens=context, future=future, parent_id=parent_id)


def test_work_is_what_is_left_to_compute_and_to_generate() -> None:
    policy = play(Oracle(), comes("a", 1_000, 200))
    assert policy._work_s("a", FakeView()) == pytest.approx(1.0 + 0.6)


def test_a_long_context_before_the_rest_is_not_work() -> None:
    assert play(Oracle(), comes("a", 50, context=9_000))._work_s("a", FakeView()) == 0.05


def test_the_shortest_rest_goes_first_and_the_longest_is_preempted() -> None:
    policy = play(Oracle(), comes("a", 2_000), comes("b", 1_000))
    assert order(policy, req("a"), req("b")) == ["b", "a"]
    assert policy.victim([running("b"), running("a")], FakeView()).session_id == "a"


def test_a_sub_agent_stands_for_its_whole_task() -> None:
    policy = play(Oracle(), comes("a", 2_000), comes("a.1", 500, parent_id="a"), comes("b", 2_200))
    assert policy._work_s("a.1", FakeView()) == pytest.approx(2.5)
    assert order(policy, req("a.1"), req("b")) == ["b", "a.1"]


def test_what_is_on_the_gpu_goes_first() -> None:
    policy = play(Oracle(), comes("long", 3_000), comes("short", 1_000))
    view = FakeView(paused={"long": paused("long", held=True)})
    assert order(policy, req("short"), req("long"), view=view) == ["long", "short"]


def with_host(now: float, **facts: Any) -> FakeView:
    known = {"host_free_blocks": 10, "link_free_at": 0.0, "waiting": [req("x")]}
    return FakeView(now=now, **{**known, **facts})


def test_it_is_swapped_when_both_copies_end_before_it_returns() -> None:
    # Each copy of 160 tokens takes 0.016 s; the tool returns at 10 s.
    policy = play(Oracle(), comes("a", 1_000, tool_s=10.0), ended("a", 0.0))
    assert policy.retain(paused("a"), with_host(9.9)) == Swap()
    assert policy.retain(paused("a"), with_host(9.97)) == Keep()
    assert policy.retain(paused("a", returned=True), with_host(9.9)) == Keep()
    assert Oracle(host_tokens=0).retain(paused("a"), with_host(0.0)) == Keep()


@pytest.mark.parametrize(
    "facts", [{"waiting": []}, {"host_free_blocks": 9}, {"link_free_at": 9.95}]
)
def test_it_stays_while_nobody_needs_room_or_there_is_no_way_out(facts: dict[str, Any]) -> None:
    policy = play(Oracle(review_s=0.5), comes("a", 1_000, tool_s=20.0), ended("a", 0.0))
    assert policy.retain(paused("a"), with_host(9.9, **facts)) == Keep(10.0)


def test_a_parent_returns_when_its_sub_agent_has_done_all() -> None:
    # 0.5 s to compute and 4 s of tools, where the call itself takes no time.
    story = [comes("a", 1_000), ended("a"), comes("a.1", 500, tool_s=4.0, parent_id="a")]
    policy = play(Oracle(), *story)
    assert policy._returns_in_s(paused("a"), FakeView(now=3.0)) == pytest.approx(4.5)
    assert play(policy, gone("a.1"))._returns_in_s(paused("a"), FakeView(now=9.0)) == 0.0


def test_a_context_that_comes_back_later_than_it_reloads_yields_to_anyone() -> None:
    # Reloading 160 tokens takes 0.16 s; the tool returns at 10 s.
    story = [comes("late", 1_000, tool_s=10.0), ended("late", 0.0), comes("x", 2_000)]
    policy = play(Oracle(), *story)
    assert policy.reclaim([paused("late")], req("x"), FakeView(now=9.8)) == "late"
    assert policy.reclaim([paused("late")], req("x"), FakeView(now=9.9)) is None
    back = paused("late", returned=True)
    assert policy.reclaim([back], req("x"), FakeView(now=0.0)) is None


def test_what_returns_last_yields_first() -> None:
    story = [
        comes("soon", 9_000, tool_s=1.0),
        ended("soon"),
        comes("late", 9_000, tool_s=5.0),
        ended("late"),
    ]
    policy = play(Oracle(), *story, comes("x", 10))
    assert policy.reclaim([paused("soon"), paused("late")], req("x"), FakeView()) == "late"


def test_a_new_round_replaces_what_was_known() -> None:
    policy = play(Oracle(), comes("a", 2_000))
    assert policy._work_s("a", FakeView()) == 2.0
    assert play(policy, comes("a", 700))._work_s("a", FakeView()) == 0.7
    assert play(policy, gone("a"))._work_s("a", FakeView()) == 0.0
