"""Bounded session affinity: who is promoted, and when nobody is."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench_backends.policies.affinity import Affinity
from marsbench_backends.testing import FakeReq, FakeView, ended, gone, order, play, req


def policy(**settings: Any) -> Affinity:
    """Sessions b, c and d have had a round, which ended at 1, 2 and 3 s."""
    story = (ended("b", 1.0), ended("c", 2.0), ended("d", 3.0))
    return play(Affinity(**settings), *story)


def waits(session: str, position: int, blocks: int = 0, **facts: Any) -> FakeReq:
    known = {"round": 1, "submitted_at": 10.0, "cached_tokens": 16 * blocks, **facts}
    return req(session, position=position, **known)


def queue(*reqs: FakeReq, now: float = 10.0, **settings: Any) -> str:
    """Sessions in the order of the queue."""
    return "".join(order(policy(**settings), *reqs, view=FakeView(now=now, waiting=reqs)))


HEAD = waits("a", 1)


def test_the_one_with_the_most_cached_blocks_goes_first_and_no_other() -> None:
    assert queue(HEAD, waits("b", 2, 4), waits("c", 3, 9), waits("d", 4, 5)) == "cabd"


def test_of_equals_the_session_that_was_scheduled_last_goes_first() -> None:
    assert queue(HEAD, waits("b", 2, 4), waits("d", 3, 4), waits("c", 4, 4)) == "dabc"


def test_the_first_is_passed_even_where_more_of_it_is_cached() -> None:
    assert queue(waits("b", 1, 9), waits("c", 2, 4)) == "cb"


def test_a_session_that_had_no_round_yet_is_not_promoted() -> None:
    assert queue(HEAD, waits("n", 2, 9)) == "an"


def test_a_round_outside_of_the_window_is_not_promoted() -> None:
    reqs = (HEAD, waits("b", 2), waits("c", 3, 9))
    assert queue(*reqs, window=2) == "abc"
    assert queue(*reqs, window=3) == "cab"


@pytest.mark.parametrize(("blocks", "found"), [(3, "ab"), (4, "ba")])
def test_so_many_blocks_must_be_cached(blocks: int, found: str) -> None:
    assert queue(HEAD, waits("b", 2, blocks), min_blocks=4) == found


def test_preempted_rounds_are_neither_passed_nor_promoted() -> None:
    again = {"num_preemptions": 1}
    assert queue(waits("a", -1, **again), waits("b", 2, 9)) == "ab"
    assert queue(HEAD, waits("b", 2, 9, **again), waits("c", 3, 4)) == "cab"


@pytest.mark.parametrize(("now", "found"), [(10.4, "ba"), (10.5, "ab")])
def test_the_first_waits_no_longer_than_so(now: float, found: str) -> None:
    assert queue(HEAD, waits("b", 2, 9), now=now) == found


@pytest.mark.parametrize(("now", "found"), [(60.9, "ba"), (61.0, "ab")])
def test_a_session_is_forgotten_after_a_minute(now: float, found: str) -> None:
    assert queue(HEAD, waits("b", 2, 9), now=now, max_wait_s=99.0) == found


def test_it_is_looked_at_again_when_the_first_has_waited_and_when_a_session_is_forgotten() -> None:
    view = FakeView(now=10.0, waiting=(HEAD, waits("b", 2)))
    assert policy().changes_at(view) == 10.5
    assert policy(max_wait_s=99.0).changes_at(view) == 61.0
    assert policy().changes_at(FakeView()) == float("inf")


def test_keys_are_asked_again_when_a_round_ends_and_a_session_that_is_over_is_forgotten() -> None:
    one = policy()
    before = one.version
    play(one, gone("b", 4.0))
    assert one.version == before + 1
    reqs = (HEAD, waits("b", 2, 9))
    assert order(one, *reqs, view=FakeView(now=10.0, waiting=reqs)) == ["a", "b"]


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="window must be more than 0"):
        Affinity(window=0)
