"""The oracle by hand: 1 ms a prompt token, 3 ms an output token."""

from __future__ import annotations

import pytest

from backends.builders import FakeView, ended, gone, order, paused, req, running, submitted, told
from marsbench_backends.oracle import Oracle
from marsbench_backends.policy import Keep
from marsbench_backends.signals import Future, Signal


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
    future = Future(2, prompt, output, tool_s, tool_s)
    return submitted(session, tokens=context, future=future, parent_id=parent_id)


def test_work_is_what_is_left_to_compute_and_to_generate() -> None:
    policy = told(Oracle(), comes("a", 1_000, 200))
    assert policy.work_s("a", FakeView()) == pytest.approx(1.0 + 0.6)


def test_a_long_context_before_the_rest_is_not_work() -> None:
    assert told(Oracle(), comes("a", 50, context=9_000)).work_s("a", FakeView()) == 0.05


def test_the_shortest_rest_goes_first_and_the_longest_is_preempted() -> None:
    policy = told(Oracle(), comes("a", 2_000), comes("b", 1_000))
    assert order(policy, req("a"), req("b")) == ["b", "a"]
    assert policy.victim([running("b"), running("a")], FakeView()).session_id == "a"


def test_a_sub_agent_stands_for_its_whole_task() -> None:
    policy = told(Oracle(), comes("a", 2_000), comes("a.1", 500, parent_id="a"), comes("b", 2_200))
    assert policy.work_s("a.1", FakeView()) == pytest.approx(2.5)
    assert order(policy, req("a.1"), req("b")) == ["b", "a.1"]


def test_it_holds_until_a_shorter_rest_needs_the_memory() -> None:
    policy = told(Oracle(), comes("long", 3_000), comes("short", 1_000), comes("x", 2_000))
    assert policy.retain(paused("long"), FakeView()) == Keep()
    held = [paused("long"), paused("short")]
    assert policy.reclaim(held, req("x"), FakeView()) == "long"
    assert policy.reclaim([paused("short")], req("x"), FakeView()) is None


def test_a_context_that_comes_back_later_than_it_reloads_yields_to_anyone() -> None:
    # Reloading 160 tokens takes 0.16 s; the tool returns at 10 s.
    story = [comes("late", 1_000, tool_s=10.0), ended("late", 0.0), comes("x", 2_000)]
    policy = told(Oracle(), *story)
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
    policy = told(Oracle(), *story, comes("x", 10))
    assert policy.reclaim([paused("soon"), paused("late")], req("x"), FakeView()) == "late"


def test_a_new_round_replaces_what_was_known() -> None:
    policy = told(Oracle(), comes("a", 2_000))
    assert policy.work_s("a", FakeView()) == 2.0
    assert told(policy, comes("a", 700)).work_s("a", FakeView()) == 0.7
    assert told(policy, gone("a")).work_s("a", FakeView()) == 0.0
