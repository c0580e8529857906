"""ThunderAgent: who is let through, paused, marked and resumed, in tokens of an engine of 1,600."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench_backends.policies.thunderagent import ThunderAgent
from marsbench_backends.signals import Signal
from marsbench_backends.testing import (
    FakeView,
    ended,
    engine,
    gone,
    order,
    play,
    req,
    submitted,
)


def told(*story: Signal, **settings: Any) -> ThunderAgent:
    """1,600 tokens of KV, of which each active program takes 100 and its context."""
    return play(ThunderAgent(**settings), engine(blocks=100), *story)


def held(policy: ThunderAgent, now: float, sessions: str = "abcd") -> str:
    """Whose request would get no token."""
    view = FakeView(now=now)
    return "".join(s for s in sessions if not policy.chunk(req(s), 64, view))


def comes(session: str, at: float, tokens: int, number: int = 0) -> Signal:
    return submitted(session, at, number=number, tokens=tokens)


def test_a_new_program_waits_where_it_does_not_fit() -> None:
    # 800 + 100 leave 700: 600 and its 100 just fit, 601 and its 100 do not.
    assert held(told(comes("a", 1.0, 800), comes("b", 1.0, 600)), 1.0) == ""
    assert held(told(comes("a", 1.0, 800), comes("b", 1.0, 601)), 1.0) == "b"


def test_nobody_new_passes_one_that_is_paused() -> None:
    policy = told(comes("a", 1.0, 800), comes("b", 1.0, 900), comes("c", 1.0, 10))
    assert held(policy, 1.0) == "bc"


def test_an_active_program_goes_on_without_being_asked_again() -> None:
    story = (comes("a", 1.0, 800), ended("a", 2.0, tokens=850), comes("a", 3.0, 5_000, 1))
    assert held(told(*story), 3.0) == ""


def test_what_fits_together_resumes_at_the_next_check_and_not_before() -> None:
    story = (comes("a", 1.0, 1_000), comes("b", 1.0, 900), comes("c", 1.0, 500), gone("a", 2.0))
    policy = told(*story)
    assert held(policy, 4.9) == "bc"
    # Ascending: 500 + 100 first, then 900 + 100 fill the 1,600.
    assert held(policy, 5.0) == ""
    assert held(told(*story[:2], comes("c", 1.0, 501), story[3]), 5.0) == "b"


def two_that_act(*more: Signal) -> ThunderAgent:
    """a and b act with 700 and 600 tokens; c reasons with 100, which grew to 400: 1,700 + 300."""
    return told(
        comes("a", 0.0, 600), ended("a", 1.0, tokens=700),
        comes("b", 1.0, 500), ended("b", 2.0, tokens=600),
        comes("c", 2.0, 0), ended("c", 3.0, tokens=0), comes("c", 3.0, 400, 1),
        *more,
    )  # fmt: skip


def test_over_capacity_the_smallest_that_acts_is_paused_when_checked() -> None:
    assert held(two_that_act(comes("b", 4.0, 600, 1)), 4.0) == "", "nobody was paused yet"
    policy = two_that_act(comes("b", 5.0, 600, 1), comes("a", 6.0, 700, 1))
    assert held(policy, 6.0) == "b"


def test_those_who_wait_resume_before_the_new_and_before_those_who_act() -> None:
    # At 5 s b is paused; 300 are left. At 8 s c has gone, which leaves 800.
    policy = two_that_act(comes("d", 6.0, 500), comes("b", 7.0, 600, 1), gone("c", 8.0))
    assert held(policy, 9.9) == "bd"
    assert held(policy, 10.0) == "d", "600 + 100 of b leave too little for the smaller d"


def test_where_nobody_acts_all_that_reason_are_paused_when_they_are_done() -> None:
    story = (comes("a", 0.0, 10), ended("a", 1.0, tokens=10), comes("a", 2.0, 1_000, 1))
    over = told(*story, comes("b", 2.0, 100), ended("b", 3.0), comes("b", 4.0, 900, 1))
    assert held(over, 5.0) == "", "their requests go on"
    after = play(over, ended("a", 6.0, tokens=1_000), comes("a", 7.0, 1_000, 2))
    assert held(after, 7.0) == "a"
    assert held(play(after, gone("b", 8.0)), 10.0) == ""


def test_a_request_is_held_back_for_half_an_hour_at_most() -> None:
    policy = told(comes("a", 0.0, 1_500), comes("b", 1.0, 1_400))
    assert held(policy, 1_800.9) == "b"
    assert held(policy, 1_801.0) == ""


@pytest.mark.parametrize(("decays", "found"), [(False, "b"), (True, "")])
def test_an_acting_context_may_fade_when_others_resume(decays: bool, found: str) -> None:
    # At 5 s a has acted for 4 s: 1,280 / 16 = 80 tokens and its 100 leave 1,420.
    story = (comes("a", 0.0, 1_280), ended("a", 1.0, tokens=1_280), comes("b", 2.0, 1_300))
    assert held(told(*story, acting_decay=decays), 5.0) == found


def test_an_acting_context_may_count_less() -> None:
    story = (comes("a", 0.0, 1_000), ended("a", 1.0, tokens=1_000), comes("b", 2.0, 900))
    assert held(told(*story), 2.0) == "b"
    assert held(told(*story, acting_weight=0.5), 2.0) == ""


def test_the_queue_is_in_the_order_in_which_requests_were_passed_on() -> None:
    story = (comes("n", 0.0, 10), ended("n", 0.5, tokens=10), comes("a", 0.5, 1_000))
    policy = told(*story, comes("b", 1.0, 900), gone("a", 2.0), comes("n", 3.0, 10, 1))
    reqs = (req("b", position=1), req("n", position=2))
    assert order(policy, *reqs, view=FakeView(now=3.0)) == ["n", "b"], "held back: last"
    assert order(policy, *reqs, view=FakeView(now=5.0)) == ["n", "b"], "b is passed on at 5 s"
    again = req("b", position=-1, num_preemptions=1)
    assert order(policy, again, reqs[1], view=FakeView(now=5.0)) == ["b", "n"], "preempted: first"


def test_answers_change_at_the_next_check_while_somebody_is_held_back() -> None:
    policy = told(comes("a", 1.0, 1_000))
    assert policy.changes_at(FakeView(now=1.0)) == float("inf")
    play(policy, comes("b", 2.0, 900))
    assert policy.changes_at(FakeView(now=2.0)) == 5.0
    assert policy.changes_at(FakeView(now=5.0)) == 10.0


def test_before_the_engine_is_known_nobody_is_held_back() -> None:
    assert held(play(ThunderAgent(), comes("a", 0.0, 10**6)), 9.0) == ""


def test_a_check_takes_time() -> None:
    with pytest.raises(ValueError, match="interval_s must be more than 0"):
        ThunderAgent(interval_s=0.0)
