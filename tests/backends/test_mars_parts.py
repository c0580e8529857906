"""What the MARS policies are made of: levels, halved chunks and smoothed signals."""

from __future__ import annotations

import math

import pytest

from marsbench_backends.parts.chunks import halved_to_fit
from marsbench_backends.parts.ewma import Ewma
from marsbench_backends.parts.levels import SessionLevels

EDGES = (100, 400)


def levels(aging_s: float = 10.0, promotion_max: int = 2) -> SessionLevels:
    return SessionLevels(EDGES, aging_s, promotion_max)


def running(prompt: int = 10, *, cached: int = 0, served: int = 0) -> SessionLevels:
    """Session a in a round of its own, after an earlier one that had so much service."""
    found = levels()
    found.wait("a", 0.0, prompt)
    found.stop("a", served)
    found.run("a", 0.0, cached)
    return found


@pytest.mark.parametrize(("prompt", "level"), [(99, 0), (100, 1), (399, 1), (400, 2)])
def test_a_small_first_prompt_starts_high(prompt: int, level: int) -> None:
    assert running(prompt).level("a", 0.0, prompt) == level


@pytest.mark.parametrize(("computed", "level"), [(99, 0), (100, 1), (400, 2), (9_999, 2)])
def test_consumed_service_demotes_as_it_is_had(computed: int, level: int) -> None:
    assert running().level("a", 0.0, 10, computed) == level


def test_service_adds_up_over_rounds_and_after_preemptions() -> None:
    assert running(served=350).level("a", 0.0, 10, 49) == 1
    assert running(served=350).level("a", 0.0, 10, 50) == 2


def test_what_was_found_in_the_cache_is_no_service() -> None:
    assert running(cached=900).level("a", 0.0, 10, 999) == 0
    assert running(cached=900).level("a", 0.0, 10, 1_000) == 1


def test_service_and_the_first_prompt_are_not_added() -> None:
    assert running(350).level("a", 0.0, 350, 150) == 1


def test_a_session_that_never_came_stands_where_its_context_puts_it() -> None:
    assert levels().level("b", 0.0, 250) == 1


@pytest.mark.parametrize(("now", "level"), [(9.9, 2), (10.0, 1), (19.9, 1), (20.0, 0), (99.0, 0)])
def test_waiting_promotes_a_level_at_a_time(now: float, level: int) -> None:
    found = levels()
    found.wait("a", 0.0, 500)
    assert found.level("a", now, 500) == level


def test_promotion_is_bounded() -> None:
    found = levels(promotion_max=1)
    found.wait("a", 0.0, 500)
    assert found.level("a", 1_000.0, 500) == 1


def test_what_waiting_earned_lasts_until_the_round_ends() -> None:
    found = levels()
    found.wait("a", 0.0, 500)
    found.run("a", 12.0, 0)
    assert found.level("a", 50.0, 500) == 1
    found.rest("a")
    assert found.level("a", 50.0, 500) == 2


def test_a_second_wait_of_the_round_goes_on_where_the_first_one_ended() -> None:
    found = levels()
    found.wait("a", 0.0, 500)
    found.run("a", 12.0, 0)
    found.wait("a", 20.0)
    assert [found.level("a", now, 500) for now in (29.0, 30.0, 90.0)] == [1, 0, 0]


def test_the_next_promotion_is_the_earliest_that_is_to_come() -> None:
    found = levels()
    found.wait("a", 0.0, 500)
    found.wait("b", 3.0, 500)
    times = [found.next_promotion(now) for now in (0.0, 10.0, 13.0, 20.0, 23.0)]
    assert times == [10.0, 13.0, 20.0, 23.0, math.inf]


def test_who_runs_or_stands_highest_is_promoted_no_more() -> None:
    found = levels()
    found.wait("a", 0.0, 500)
    found.run("a", 1.0, 0)
    found.wait("b", 0.0, 10)
    assert found.next_promotion(0.0) == math.inf


def test_steady_up_to_the_next_edge() -> None:
    assert running().steady_tokens("a", 30) == 70
    assert running(served=100).steady_tokens("a", 50) == 250
    assert running().steady_tokens("a", 400) == math.inf


def test_a_large_first_prompt_is_steady_through_the_edges_it_has_passed() -> None:
    assert running(150).steady_tokens("a", 20) == 380


def test_a_forgotten_session_leaves_nothing() -> None:
    found = levels()
    found.wait("a", 0.0, 500)
    found.forget("a")
    assert "a" not in found
    assert found.next_promotion(0.0) == math.inf
    found.forget("a")


def test_without_aging_nobody_is_promoted() -> None:
    found = levels(aging_s=math.inf)
    found.wait("a", 0.0, 500)
    assert found.level("a", 1e9, 500) == 2


@pytest.mark.parametrize(("edges", "aging_s"), [((5, 3), 1.0), ((0, 3), 1.0), ((1,), 0.0)])
def test_levels_that_cannot_be_are_refused(edges: tuple[int, ...], aging_s: float) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        SessionLevels(edges, aging_s, 1)


@pytest.mark.parametrize(
    ("tokens", "room", "chunk"),
    [
        (2048, 2048, 2048),
        (2048, 2047, 1024),
        (2048, 300, 256),
        (2048, 16, 16),
        (2048, 15, 2048),  # not even a block: whoever asks is to preempt
        (100, 30, 25),
        (20, 18, 16),
        (10, 12, 10),
        (10, 3, 10),
    ],
)
def test_a_chunk_is_halved_down_to_one_block(tokens: int, room: int, chunk: int) -> None:
    assert halved_to_fit(tokens, room, block_size=16) == chunk


def test_the_first_sample_initialises_the_mean() -> None:
    mean = Ewma(0.2)
    assert mean.value is None
    mean.add(10.0)
    mean.add(0.0)
    assert mean.value == 8.0


def test_a_sample_that_came_n_times_counts_n_times() -> None:
    once, thrice = Ewma(0.2, 10.0), Ewma(0.2, 10.0)
    once.add(0.0, times=3)
    for _ in range(3):
        thrice.add(0.0)
    assert once.value == pytest.approx(thrice.value)
    assert once.value == pytest.approx(5.12)
