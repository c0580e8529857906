"""MARS as released: levels of rounds, quanta, buckets, the engine-side window."""

from __future__ import annotations

import math
from typing import Any

import pytest

from marsbench_backends.policies.mars_released import MarsReleased
from marsbench_backends.policy import Req
from marsbench_backends.signals import Signal
from marsbench_backends.testing import (
    FakeView,
    computed,
    ended,
    gone,
    order,
    play,
    preempted,
    req,
    running,
    started,
    submitted,
)


def released(*story: Signal, **settings: Any) -> MarsReleased:
    return play(MarsReleased(**settings), *story)


def prefilling(tokens: int, *chunks: int, cached: int = 0) -> tuple[Signal, ...]:
    """Session a's round of so many prompt tokens, after one chunk a second."""
    return (
        submitted(tokens=tokens), started(cached=cached),
        *(computed(at=n + 1.0, tokens=chunk, seconds=1.0) for n, chunk in enumerate(chunks)),
    )  # fmt: skip


def chunk(policy: MarsReleased, now: float = 1.0, session: str = "a") -> int:
    return policy.chunk(req(session), 100_000, FakeView(now=now))


# --- levels and quanta


@pytest.mark.parametrize(
    ("left", "tokens"),
    [(2_048, 2_048), (2_049, 1_024), (8_192, 1_024), (8_193, 512), (32_768, 512), (32_769, 256)],
)
def test_what_is_left_of_the_prompt_decides_the_quantum(left: int, tokens: int) -> None:
    """After a chunk of 100 tokens, which is too little to demote."""
    assert chunk(released(*prefilling(left + 100, 100))) == tokens


def test_the_first_chunk_is_of_the_highest_level() -> None:
    assert chunk(released(*prefilling(100_000))) == 2_048


def test_a_warm_continuation_is_short_work() -> None:
    assert chunk(released(*prefilling(100_000, 100, cached=98_000))) == 2_048


def test_a_quantum_used_up_demotes_and_part_of_one_does_not() -> None:
    assert [chunk(released(*prefilling(8_000, *used))) for used in ((2_048,), (2_047,))] == [
        1_024, 1_024,
    ]  # fmt: skip
    used_up = released(*prefilling(8_000, 2_048, 1_024))
    assert chunk(used_up, now=2.0) == 512
    left_over = released(*prefilling(8_000, 2_047, 1_023))
    assert chunk(left_over, now=2.0) == 1_024


def test_a_long_prompt_runs_at_the_last_quantum_after_its_first_chunk() -> None:
    policy = released(*prefilling(100_000, 2_048, 256, 256))
    assert chunk(policy, now=3.0) == 256
    assert policy._levels.rounds["a"].feedback == 3


def test_decoding_returns_to_the_top() -> None:
    policy = released(*prefilling(3_000, 2_048, 952))
    assert policy._levels.level(policy._levels.rounds["a"]) == 0
    policy.serve(computed(at=3.0, tokens=5))  # five decode steps taken as one
    assert policy._levels.rounds["a"].generated == 6


def test_each_round_starts_anew() -> None:
    policy = released(*prefilling(100_000, 2_048, 256), ended(at=3.0))
    play(policy, submitted(at=4.0, number=1, tokens=100_000), started(at=4.0, number=1))
    assert chunk(policy, now=4.0) == 2_048


@pytest.mark.parametrize(
    ("idle_s", "tokens"), [(29.9, 256), (30.0, 512), (60.0, 1_024), (500.0, 2_048)]
)
def test_thirty_seconds_without_service_lift_by_one_level(idle_s: float, tokens: int) -> None:
    policy = released(*prefilling(100_000, 2_048, 256, 256))
    assert chunk(policy, now=3.0 + idle_s) == tokens


def test_a_preempted_round_computes_its_output_again() -> None:
    policy = released(*prefilling(1_000, 1_000), computed(at=2.0), preempted(at=3.0))
    play(policy, started(at=4.0, cached=160, resumed=True))
    assert policy._levels.rounds["a"].left == 1_000 + 2 - 160


# --- order


def test_running_rounds_go_by_level_then_by_last_service() -> None:
    policy = released(
        *prefilling(100_000, 2_048),
        submitted("b", tokens=100_000), started("b"),
        submitted("c", tokens=100), started("c"),
    )  # fmt: skip
    reqs: list[Req] = [
        running(s, submitted_at=at) for s, at in (("a", 0.0), ("b", 2.0), ("c", 1.0))
    ]
    view = FakeView(now=1.0)
    ordered = sorted(reqs, key=lambda r: policy.running_key(r, view))
    assert [r.session_id for r in ordered] == ["c", "b", "a"]


def test_who_was_passed_over_goes_ahead_of_its_equals() -> None:
    policy = released()
    for name in ("a", "b"):
        play(policy, submitted(name, tokens=100), started(name))
    play(policy, computed("a", 1.0, tokens=9), computed("b", 1.0, tokens=9))
    play(policy, computed("a", 2.0, tokens=9))
    view = FakeView(now=2.0)
    assert policy.running_key(running("b"), view) < policy.running_key(running("a"), view)


@pytest.mark.parametrize(
    ("tokens", "bucket"), [(2_048, 0), (2_049, 1), (8_192, 1), (32_768, 2), (32_769, 3)]
)
def test_waiting_rounds_are_bucketed_by_their_full_prompt(tokens: int, bucket: int) -> None:
    key = released().waiting_key(req(num_prompt_tokens=tokens), FakeView())
    assert key == (0, bucket, 1)


def test_a_long_wait_does_not_age_in_the_bucket() -> None:
    long, short = req("a", num_prompt_tokens=9_000), req("b", position=2)
    policy = released(submitted("a", 0.0, tokens=9_000), submitted("b", 900.0))
    assert order(policy, long, short, view=FakeView(now=1_000.0)) == ["b", "a"]
    assert policy.changes_at(FakeView()) == math.inf


def test_preempted_rounds_go_first_the_latest_of_them_ahead() -> None:
    reqs = [
        req("short"), req("first", position=-1, num_prompt_tokens=90_000),
        req("second", position=-2, num_prompt_tokens=90_000),
    ]  # fmt: skip
    assert order(released(), *reqs) == ["second", "first", "short"]


# --- victims


def test_the_victim_is_of_the_lowest_level_whoever_decodes_last() -> None:
    policy = released(*prefilling(100_000, 2_048), submitted("b", tokens=9_000), started("b"))
    long, short = running("a", decoding=False), running("b", decoding=False, blocks=50)
    decode = running("c", blocks=90)
    assert policy.victim([decode, short, long], FakeView()) is long
    assert policy.victim([decode, short], FakeView()) is short


def test_among_equals_the_most_blocks_then_the_latest() -> None:
    small, large = running("a", blocks=10), running("b", blocks=20)
    assert released().victim([large, small], FakeView()) is large
    late = running("c", blocks=20, submitted_at=1.0)
    assert released().victim([large, late], FakeView()) is late


def test_aging_does_not_spare() -> None:
    policy = released(*prefilling(100_000, 2_048), submitted("b", tokens=20_000), started("b"))
    aged, other = running("a", decoding=False), running("b", decoding=False, blocks=50)
    assert policy.victim([aged, other], FakeView(now=500.0)) is aged


def test_a_chunk_that_does_not_fit_is_halved() -> None:
    assert released().shrink(req(), 2_048, 300, FakeView()) == 256


# --- the engine-side window


def test_who_comes_after_the_window_is_full_queues_behind_it() -> None:
    policy = released(submitted("a"), submitted("b"), submitted("c"), engine_window=2)
    reqs = [req("a", num_prompt_tokens=9_000), req("b", position=2), req("c", position=3)]
    assert order(policy, *reqs) == ["b", "a", "c"]
    assert policy.max_running == 2


def test_a_place_that_is_left_goes_to_the_first_outside() -> None:
    policy = released(*(submitted(name) for name in "abcd"), engine_window=2)
    version = policy.version
    play(policy, started("a"), ended("a", 1.0))
    reqs = [req("b", num_prompt_tokens=9_000), req("c", position=3), req("d", position=4)]
    assert order(policy, *reqs) == ["c", "b", "d"]
    assert policy.version > version
    play(policy, gone("d"), gone("b"))
    assert not policy._window.overflow


# --- steps that repeat


def test_a_prefill_repeats_once_its_feedback_is_at_the_bottom() -> None:
    view = FakeView(token_budget=2_048)
    steady = [
        released(*prefilling(100_000, *chunks)).steady_tokens(running("a"), view)
        for chunks in ((2_048,), (2_048, 256), (2_048, 256, 256))
    ]
    assert steady == [1, 1, math.inf]


def test_no_step_repeats_when_someone_would_be_passed_over() -> None:
    policy = released(*prefilling(100_000, 2_048, 256, 256))
    assert policy.steady_tokens(running("a"), FakeView(token_budget=257)) == math.inf
    assert policy.steady_tokens(running("a"), FakeView(token_budget=256)) == 1


def test_a_change_of_level_or_of_turn_is_announced() -> None:
    policy = released(*prefilling(100_000, 2_048, 256, 256))
    before = policy.version
    play(policy, computed(at=4.0, tokens=256, seconds=1.0))
    assert policy.version == before
    play(policy, submitted("b", 4.0), started("b", 4.0), computed("b", 5.0))
    play(policy, computed(at=6.0, tokens=256, seconds=1.0))
    assert policy.version > before


def test_unknown_sessions_do_no_harm() -> None:
    policy = released(computed("x"), started("x"), preempted("x"), ended("x"), gone("x"))
    assert policy.chunk(req("x", num_prompt_tokens=9_000), 5_000, FakeView()) == 2_048
    assert policy.running_key(req("x"), FakeView())[1] == -math.inf


@pytest.mark.parametrize(
    "wrong", [{"quanta": (1, 2)}, {"engine_window": 0}, {"aging_s": 0.0}, {"quanta": (0, 1, 2, 3)}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        released(**wrong)
