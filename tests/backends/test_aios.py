"""AIOS: batches that block the next, and slices of time in turn."""

from __future__ import annotations

import math
from typing import Any

import pytest

from marsbench_backends.policies.aios_fifo import AiosFifo
from marsbench_backends.policies.aios_rr import AiosRr
from marsbench_backends.signals import FirstToken, Signal
from marsbench_backends.testing import (
    FakeReq,
    FakeView,
    computed,
    ended,
    engine,
    gone,
    order,
    play,
    preempted,
    req,
    running,
    started,
    submitted,
)


def held(*story: Signal, now: float, **settings: Any) -> str:
    """Whose call would get no token."""
    policy, view = play(AiosFifo(**settings), engine(), *story), FakeView(now=now)
    return "".join(s for s in "abc" if not policy.chunk(req(s), 64, view))


def test_a_call_waits_for_the_next_look_at_the_queue() -> None:
    assert held(submitted("a", 3.2), now=3.9) == "a"
    assert held(submitted("a", 3.2), now=4.0) == ""
    assert held(submitted("a", 4.0), now=4.0) == "a", "the look of 4.0 was before it"


BATCH = (submitted("a", 0.1), submitted("b", 0.2), submitted("c", 1.5))


def test_what_comes_while_a_batch_runs_waits_for_the_last_of_it() -> None:
    assert held(*BATCH, now=1.6) == "c"
    assert held(*BATCH, ended("a", 2.0), now=9.0) == "c"


def test_a_batch_that_is_done_is_followed_by_a_sleep() -> None:
    done = (*BATCH, ended("a", 2.0), gone("b", 7.3))
    assert held(*done, now=8.2) == "c"
    assert held(*done, now=8.3) == ""


def test_a_batch_need_not_block_the_next() -> None:
    assert held(*BATCH, now=1.9, blocking=False) == "c"
    assert held(*BATCH, now=2.0, blocking=False) == ""
    done = (*BATCH, ended("a", 2.5), ended("b", 2.5), submitted("a", 2.6, number=1))
    assert held(*done, now=2.9, blocking=False) == "a"
    assert held(*done, now=3.0, blocking=False) == "", "looks come by the clock alone"


def test_calls_of_the_batch_go_before_those_that_wait() -> None:
    policy = play(AiosFifo(), engine(), *BATCH)
    reqs = (req("c", position=1), req("b", position=2))
    assert order(policy, *reqs, view=FakeView(now=2.0)) == ["b", "c"]


@pytest.mark.parametrize(("blocking", "then"), [(True, math.inf), (False, 2.0)])
def test_answers_change_at_the_next_look_unless_a_batch_is_in_the_way(
    blocking: bool, then: float
) -> None:
    policy = play(AiosFifo(blocking=blocking), engine(), *BATCH[:1])
    assert policy.changes_at(FakeView(now=0.1)) == 1.0
    assert policy.changes_at(FakeView(now=1.0)) == math.inf, "nobody waits"
    play(policy, BATCH[2])
    assert policy.changes_at(FakeView(now=1.5)) == then


# --- round robin

STARTED = (submitted("a", 0.0), started("a", 0.0), FirstToken(0.4, "a", 0, 0.4))


def yielding(
    policy: AiosRr, now: float, *reqs: FakeReq, waiting: str = "b", view: Any = None
) -> list[str]:
    seen = FakeView(now=now, running=reqs, waiting=[req(s) for s in waiting])
    return [one.session_id for one in policy.yields(reqs, seen)]


def test_a_call_yields_after_its_slice_to_whom_waits() -> None:
    policy = play(AiosRr(), *STARTED, submitted("b", 0.5))
    assert yielding(policy, 0.9, running("a")) == []
    assert yielding(policy, 1.0, running("a")) == ["a"]
    assert yielding(policy, 1.0, running("a"), waiting="") == [], "for nobody"


def test_each_slice_brings_a_token() -> None:
    policy = play(AiosRr(), *STARTED[:2], submitted("b", 0.5))
    version = policy.version
    assert yielding(policy, 7.0, running("a")) == [], "its prompt takes seven seconds"
    play(policy, FirstToken(7.2, "a", 0, 7.2))
    assert yielding(policy, 7.2, running("a")) == ["a"]
    assert policy.version > version, "so the next step asks"
    again = (preempted("a", 7.2, tokens=160), started("a", 9.0, cached=100, resumed=True))
    play(policy, *again, computed("a", 11.0, tokens=60))
    assert yielding(policy, 11.0, running("a")) == [], "computed again, and no token yet"
    assert yielding(play(policy, computed("a", 11.1)), 11.1, running("a")) == ["a"]


def test_who_yields_goes_to_the_end_and_who_lacks_memory_stays_in_front() -> None:
    policy = play(AiosRr(), *STARTED, submitted("b", 0.5))
    reqs = (req("a", position=-1, num_preemptions=1), req("b", position=2))
    assert order(play(policy, preempted("a", 0.9)), *reqs) == ["a", "b"]
    play(policy, started("a", 0.9, resumed=True), computed("a", 1.2), preempted("a", 1.9))
    assert order(policy, *reqs) == ["b", "a"]


def test_no_more_yield_than_wait_and_the_longest_slice_first() -> None:
    story = [submitted(s, 0.0) for s in "abc"] + [started("b", 0.1), started("a", 0.2)]
    tokens = [FirstToken(0.3, s, 0, 0.3) for s in "ab"]
    policy = play(AiosRr(width=2), *story, *tokens)
    two = (running("a"), running("b"))
    assert yielding(policy, 5.0, *two, waiting="c") == ["b"]
    assert yielding(policy, 5.0, *two, waiting="cd") == ["b", "a"]


def test_a_call_with_tools_may_never_be_stopped() -> None:
    policy = play(AiosRr(sliced=False), *STARTED, submitted("b", 0.5))
    assert yielding(policy, 99.0, running("a")) == []
    seen = FakeView(now=0.5, running=[running("a")], waiting=[req("b")])
    assert policy.changes_at(seen) == math.inf


def test_answers_change_when_a_slice_ends() -> None:
    policy = play(AiosRr(), *STARTED, submitted("b", 0.5))
    seen = FakeView(now=0.5, running=[running("a")], waiting=[req("b")])
    assert policy.changes_at(seen) == 1.0
    assert policy.changes_at(FakeView(now=0.5, running=[running("a")])) == math.inf


@pytest.mark.parametrize(
    ("policy", "wrong"),
    [(AiosFifo, "sleep_s"), (AiosFifo, "width"), (AiosRr, "slice_s"), (AiosRr, "width")],
)
def test_what_cannot_be_is_refused(policy: type[Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=f"{wrong} must be"):
        policy(**{wrong: 0})


def test_as_many_run_as_it_is_wide() -> None:
    assert (AiosRr().max_running, AiosFifo().max_running, AiosFifo(width=3).max_running) == (
        1, None, 3,
    )  # fmt: skip
